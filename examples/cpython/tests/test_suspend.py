"""Tasklets suspend from any depth, through frames of C."""

import asyncio
import ctypes
import functools
import importlib
import re
import sys

import pytest
from rctx_tasklet import current, schedule, tasklet


def together(*functions):
    """Runs functions as tasklets until all have ended; returns their results, and how many turns that took."""
    results = [None] * len(functions)

    def keep(index):
        results[index] = functions[index]()

    tasklets = [tasklet(keep, index) for index in range(len(functions))]
    turns = 0
    while any(each.alive for each in tasklets):
        schedule()
        turns += 1
    return results, turns


def pause(value):
    schedule()
    return value


def through_sorted(seed):
    numbers = [(seed * each) % 17 for each in range(8)]
    assert sorted(numbers, key=pause) == sorted(numbers)


def through_cmp_to_key(seed):
    numbers = [(seed * each) % 17 for each in range(8)]
    numbers.sort(key=functools.cmp_to_key(lambda a, b: pause(a - b)))
    assert numbers == sorted(numbers)


def through_re_sub(seed):
    text = re.sub(r"\d", lambda match: pause(str((int(match[0]) + seed) % 10)), "0-1-2-3")
    assert text == "-".join(str((each + seed) % 10) for each in range(4))


QSORT = ctypes.CDLL(None).qsort
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def through_ctypes(seed):
    numbers = [(seed * each) % 17 for each in range(8)]
    array = (ctypes.c_int * 8)(*numbers)
    QSORT(array, ctypes.c_size_t(8), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int)), COMPARE(lambda a, b: pause(a[0] - b[0])))
    assert list(array) == sorted(numbers)


def through_generator(seed):
    def squares():
        for each in range(5):
            yield pause(each * each + seed)

    assert list(squares()) == [each * each + seed for each in range(5)]


def through_await(seed):
    async def leaf(value):
        return pause(value)

    async def work():
        return [await leaf(seed + each) for each in range(5)]

    with pytest.raises(StopIteration) as result:
        work().send(None)
    assert result.value.value == [seed + each for each in range(5)]


def through_attribute(seed):
    class Lazy:
        def __getattr__(self, name):
            return pause(name + str(seed))

        def __hash__(self):
            return pause(seed)

        def __eq__(self, other):
            return pause(self is other)

    lazy = Lazy()
    assert {lazy: 1, Lazy(): 2}[lazy] == 1
    assert lazy.name == "name" + str(seed)


def through_sum_of_map(seed):
    assert sum(map(pause, range(seed, seed + 5))) == sum(range(seed, seed + 5))


def through_exec(seed):
    names = {"pause": pause, "seed": seed}
    exec("result = [pause(each) for each in range(seed)]", names)
    assert names["result"] == list(range(seed))


WAYS = [value for name, value in sorted(globals().items()) if name.startswith("through_")]


@pytest.mark.parametrize("way", WAYS)
def test_through(way):
    _, turns = together(*(functools.partial(way, seed) for seed in (3, 5, 7)))
    assert turns > 2  # it did suspend


def test_all_at_once():
    together(*(functools.partial(way, seed) for way in WAYS for seed in (3, 5, 7)))


def test_through_one_another():
    def nested(level):
        if not level:
            return pause(0)
        return sorted([1, 0], key=lambda each: nested(level - 1) + each)[1] + re.sub(
            "x", lambda match: str(nested(level - 1)), "x"
        ).count("0")

    expected = nested(4)
    results, _ = together(*[functools.partial(nested, 4)] * 5)
    assert results == [expected] * 5


def test_through_import(tmp_path, monkeypatch):
    for name in ("rctx_first", "rctx_second"):
        (tmp_path / (name + ".py")).write_text("import rctx_tasklet\nrctx_tasklet.schedule()\nvalue = __name__\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    results, turns = together(
        lambda: importlib.import_module("rctx_first").value,
        lambda: importlib.import_module("rctx_second").value,
    )
    assert results == ["rctx_first", "rctx_second"] and turns > 1
    for name in ("rctx_first", "rctx_second"):
        del sys.modules[name]


def test_within_asyncio():
    async def work(value):
        await asyncio.sleep(0)
        pause(value)
        await asyncio.sleep(0)
        return value

    async def main():
        return await asyncio.gather(*(work(value) for value in range(5)))

    ran = []
    tasklet(lambda: [ran.append(pause(each)) for each in range(3)])
    assert asyncio.run(main()) == list(range(5))
    assert ran == [0, 1, 2]


def test_main_suspends_from_anywhere():
    """The base moves with main: deeper, shallower, and within C."""
    log, main = [], current()

    def work():
        for turn in range(100):
            log.append(turn)
            main.switch()

    workers = [tasklet(work) for _ in range(3)]

    def down(level):
        if not level:
            return workers[0].switch()
        sorted([1], key=lambda each: down(level - 1))
        workers[level % 3].switch()

    for level in (0, 20, 3, 10, 0, 30):
        workers[1].switch()
        down(level)
        sorted([1, 2], key=lambda each: workers[2].switch() or each)
    assert len(log) == 6 * 4 + 63
    for worker in workers:
        worker.kill()
        assert not worker.alive


def test_a_tasklet_makes_and_runs_others():
    def tree(depth):
        if not depth:
            return 1
        results, _ = together(*[functools.partial(tree, depth - 1)] * 2)
        return sum(results)

    assert tree(5) == 32


def test_deep_frames():
    """Slices of some hundred kilobytes, that hold many frames of C."""

    def deep(level):
        return pause(0) if not level else sum(map(deep, [level - 1])) + 1

    results, _ = together(*[functools.partial(deep, 60)] * 10)
    assert results == [60] * 10
