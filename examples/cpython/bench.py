"""What tasklets cost beside greenlets, in one run: python bench.py [NUMBER], after `pip install . greenlet`."""

import functools
import os
import platform
import subprocess
import sys
import time

import greenlet
import rctx_tasklet

ROUNDS = 7


def nothing():
    pass


def deep(level, function):
    """Calls a function through so many calls of Python by C."""
    return function() if not level else next(map(deep, [level - 1], [function]))


def pair(main, make, number, level):
    """Main and another hand over to one another; nanoseconds of one switch."""

    def body():
        def work():
            switch = main.switch
            for _ in range(number):
                switch()

        deep(level, work)

    other = make(body)
    switch = other.switch
    start = time.perf_counter()
    for _ in range(number + 1):
        switch()
    return (time.perf_counter() - start) / (2 * number) * 1e9


def tasklet_ring(number, members=100):
    def work():
        schedule = rctx_tasklet.schedule
        for _ in range(number // members):
            schedule()

    for _ in range(members):
        rctx_tasklet.tasklet(work)
    rctx_tasklet.schedule()
    start = time.perf_counter()
    for _ in range(number // members - 1):
        rctx_tasklet.schedule()
    taken = time.perf_counter() - start
    rctx_tasklet.schedule()
    return taken / (number - members) * 1e9


def greenlet_ring(number, members=100):
    def work(index):
        switch = ring[index + 1].switch
        main.switch()  # each begins in main, not within the one before
        for _ in range(number // members):
            switch()

    main = greenlet.getcurrent()
    ring = [greenlet.greenlet(functools.partial(work, index)) for index in range(members)] + [main]
    for each in ring[:-1]:
        each.switch()
    ring[0].switch()
    start = time.perf_counter()
    for _ in range(number // members - 1):
        ring[0].switch()
    return (time.perf_counter() - start) / (number - members) * 1e9


def run(make, number):
    start = time.perf_counter()
    for _ in range(number):
        make(nothing).switch()
    return (time.perf_counter() - start) / number * 1e9


def tasklet_create(number):
    start = time.perf_counter()
    made = [rctx_tasklet.tasklet(nothing) for _ in range(number)]
    taken = time.perf_counter() - start
    for each in made:
        each.kill()
    return taken / number * 1e9


def greenlet_create(number):
    start = time.perf_counter()
    made = [greenlet.greenlet(nothing) for _ in range(number)]
    taken = time.perf_counter() - start
    del made
    return taken / number * 1e9


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def suspend(kind, by, number):
    """Prints the resident bytes of each of so many that are suspended; for a process of its own."""
    if kind == "rctx_tasklet":
        make, switch = rctx_tasklet.tasklet, rctx_tasklet.schedule
    else:
        make, switch = greenlet.greenlet, greenlet.getcurrent().switch
    before = resident()
    made = [make(switch if by == "C" else lambda: switch()) for _ in range(number)]
    if kind == "rctx_tasklet":
        switch()
    else:
        for each in made:
            each.switch()
    print((resident() - before) / len(made), flush=True)
    os._exit(0)  # ends them all at once


def memory(kind, by):
    command = [sys.executable, __file__, kind, by, "100000"]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def tasklet_pair(number, level):
    return pair(rctx_tasklet.current(), rctx_tasklet.tasklet, number, level)


def greenlet_pair(number, level):
    return pair(greenlet.getcurrent(), greenlet.greenlet, number, level)


def row(name, ours, theirs):
    print(f"| {name} | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f} |", flush=True)


def main(number):
    print(f"CPython {platform.python_version()}, greenlet {greenlet.__version__}; best of {ROUNDS} rounds each\n")
    print("| what | rctx_tasklet | greenlet | times as fast or small |\n| --- | --- | --- | --- |")
    cases = [
        ("switch, ns: main and another", lambda: tasklet_pair(number, 0), lambda: greenlet_pair(number, 0)),
        ("the same, 10 calls through C deep", lambda: tasklet_pair(number, 10), lambda: greenlet_pair(number, 10)),
        ("switch, ns: a ring of 100", lambda: tasklet_ring(number), lambda: greenlet_ring(number)),
        ("create, ns", lambda: tasklet_create(number), lambda: greenlet_create(number)),
        (
            "create, run and end, ns",
            lambda: run(rctx_tasklet.tasklet, number),
            lambda: run(greenlet.greenlet, number),
        ),
    ]
    for name, ours, theirs in cases:
        rounds = [(ours(), theirs()) for _ in range(ROUNDS)]
        row(name, min(each[0] for each in rounds), min(each[1] for each in rounds))
    for by in ("C", "Python"):
        name = f"resident bytes of each of 100,000 suspended in a function of {by}"
        row(name, memory("rctx_tasklet", by), memory("greenlet", by))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        suspend(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50000)
