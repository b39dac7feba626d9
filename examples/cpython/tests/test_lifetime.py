"""Memory, threads, processes and the end of the interpreter."""

import gc
import os
import resource
import sys
import threading
import weakref

import pytest
from rctx_tasklet import TaskletExit, channel, current, schedule, tasklet


class Token:
    pass


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def end_by_itself(count):
    def work(token):
        schedule()
        return Token()

    for _ in range(count // 1000):
        for _ in range(1000):
            tasklet(work, Token())
        schedule()
        schedule()


def end_by_kill(count):
    def work(token):
        schedule()

    for _ in range(count):
        made = tasklet(work, Token())
        made.switch()
        made.kill()


def end_unstarted(count):
    for _ in range(count):
        tasklet(int, Token()).kill()


def end_in_channel(count):
    pipe = channel()
    for _ in range(count):
        made = tasklet(pipe.receive)
        schedule()
        made.kill()
    for _ in range(count):
        tasklet(pipe.send, Token())
        pipe.receive()
        schedule()


@pytest.mark.parametrize(
    "way, count",
    [(end_by_itself, 100000), (end_by_kill, 1000000), (end_unstarted, 200000), (end_in_channel, 100000)],
)
def test_nothing_leaks(way, count):
    way(10000)  # what is allocated once
    gc.collect()
    objects, blocks, memory = len(gc.get_objects()), sys.getallocatedblocks(), resident()
    way(count)
    gc.collect()
    assert abs(len(gc.get_objects()) - objects) < 50
    assert abs(sys.getallocatedblocks() - blocks) < 500
    assert resident() - memory < 8 << 20
    assert not any(isinstance(each, Token) for each in gc.get_objects())


def test_references_are_released_at_the_end():
    token = Token()
    reference = weakref.ref(token)

    def work(held):
        schedule()

    made = tasklet(work, token)
    del token
    schedule()
    gc.collect()
    assert reference() is not None
    made.kill()
    assert reference() is None
    made = weakref.ref(made)
    assert made() is None


def test_cycles_are_collected():
    class named(tasklet):
        pass

    made = named(int)
    made.itself = made
    reference = weakref.ref(made)
    schedule()
    del made
    gc.collect()
    assert reference() is None


def test_collection_while_tasklets_are_suspended():
    def work(number):
        local = [Token(), {number: Token()}]
        local.append(local)
        for _ in range(3):
            schedule()
            assert isinstance(local[0], Token) and isinstance(local[1][number], Token)

    made = [tasklet(work, number) for number in range(1000)]
    while any(each.alive for each in made):
        schedule()
        gc.collect()
    gc.collect()
    assert not any(isinstance(each, Token) for each in gc.get_objects())


def test_collection_by_a_tasklet_in_the_collector():
    class Switching:
        def __init__(self):
            self.itself = self

        def __del__(self):
            schedule()

    def work():
        for _ in range(10):
            Switching()
            gc.collect()

    made = [tasklet(work) for _ in range(3)]
    while any(each.alive for each in made):
        schedule()


def test_many_suspended():
    def work():
        schedule()

    made = [tasklet(work) for _ in range(20000)]
    schedule()
    assert all(each.alive for each in made)
    schedule()
    assert not any(each.alive for each in made)


def in_thread(function):
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def test_threads_have_tasklets_of_their_own():
    results = []

    def work(log, name):
        for turn in range(200):
            log.append((name, turn))
            schedule()

    def thread():
        log = []
        made = [tasklet(work, log, name) for name in range(5)]
        while any(each.alive for each in made):
            schedule()
        results.append(log)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=thread) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert results == [[(name, turn) for turn in range(200) for name in range(5)]] * 8


@pytest.mark.parametrize("method", ["switch", "kill"])
@pytest.mark.parametrize("started", [False, True])
def test_another_threads_tasklet(method, started):
    made = tasklet(schedule)
    if started:
        schedule()
    with pytest.raises(RuntimeError, match="another thread"):
        in_thread(getattr(made, method))
    assert made.alive
    schedule()
    schedule()
    assert not made.alive


def test_another_threads_main():
    with pytest.raises(RuntimeError, match="another thread"):
        in_thread(current().switch)


def test_another_threads_channel():
    pipe = channel()
    made = tasklet(pipe.receive)
    schedule()
    with pytest.raises(RuntimeError, match="another thread"):
        in_thread(lambda: pipe.send(1))
    made.kill()


def test_the_end_of_a_thread_ends_its_tasklets():
    log = []

    def work(pipe):
        try:
            pipe.receive() if pipe else schedule()
        except TaskletExit:
            log.append("exit")
            raise

    def thread():
        made = [tasklet(work, None), tasklet(work, channel())]
        schedule()
        made.append(tasklet(log.append, "never"))
        return made

    made = in_thread(thread)
    assert log == ["exit"] * 2
    assert not any(each.alive for each in made)
    with pytest.raises(RuntimeError, match="ended"):
        made[0].switch()


def test_fork():
    def work():
        schedule()
        log.append("went on")

    log, pipe = [], channel()
    made = tasklet(work)
    tasklet(lambda: log.append(pipe.receive()))
    schedule()
    child = os.fork()
    if not child:
        status = 1
        try:
            pipe.send("sent")
            schedule()
            status = 0 if log == ["went on", "sent"] and not made.alive else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    pipe.send("sent")
    schedule()
    assert log == ["went on", "sent"]


def test_fork_within_a_tasklet():
    statuses = []

    def work():
        child = os.fork()
        if not child:
            try:
                other.switch()
            finally:
                os._exit(0 if ran else 1)
        statuses.append(os.waitpid(child, 0)[1])

    ran = []
    made, other = tasklet(work), tasklet(ran.append, 1)
    made.switch()
    other.kill()
    assert statuses == [0] and not ran


def test_fork_while_other_threads_have_tasklets():
    """In the child they are gone with their threads."""
    go, ready = threading.Event(), threading.Event()

    def thread():
        tasklet(schedule)
        schedule()
        ready.set()
        go.wait()

    other = threading.Thread(target=thread)
    other.start()
    ready.wait()
    child = os.fork()
    if not child:
        status = 1
        try:
            made = tasklet(schedule)
            schedule()
            schedule()
            status = 1 if made.alive else 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    go.set()
    other.join()


SUSPENDED = """
from rctx_tasklet import *
import threading
def work(pipe=None):
    try:
        pipe.receive() if pipe else schedule()
    finally:
        print("finally", threading.current_thread().name)
tasklet(work)
tasklet(work, channel())
kept = tasklet(sorted, [1], key=lambda each: work())
schedule()
tasklet(print, "never")
"""


def test_the_interpreter_ends_with_suspended_tasklets(python):
    assert python(SUSPENDED) == "finally MainThread\n" * 3


def test_the_interpreter_ends_with_one_that_does_not_end(python):
    program = SUSPENDED + (
        "def stubborn():\n"
        "    while True:\n"
        "        try: schedule()\n"
        "        except TaskletExit: print('no')\n"
        "tasklet(stubborn)\n"
        "schedule()\n"
    )
    assert "no\n" in python(program)


def test_the_interpreter_ends_within_a_tasklet(python):
    program = SUSPENDED + "import sys\ntasklet(sys.exit, 5)\nschedule()\n"
    assert "finally" in python(program, status=5)


def test_the_interpreter_ends_by_an_exception_in_a_tasklet(python):
    said = python(SUSPENDED + "tasklet(lambda: 1 / 0)\nschedule()\n", status=1)
    assert "ZeroDivisionError" in said and "<lambda>" in said


def test_the_interpreter_ends_while_a_daemon_has_tasklets(python):
    program = SUSPENDED + (
        "ready = threading.Event()\n"
        "def daemon():\n"
        "    tasklet(work); schedule(); ready.set(); threading.Event().wait()\n"
        "threading.Thread(target=daemon, daemon=True).start()\n"
        "ready.wait()\n"
    )
    assert python(program) == "finally MainThread\n" * 3


def test_exceptions_while_the_interpreter_ends(python):
    program = (
        "from rctx_tasklet import *\n"
        "def work():\n"
        "    try: schedule()\n"
        "    finally: raise ValueError('late')\n"
        "tasklet(work); schedule()\n"
    )
    assert "ValueError: late" in python(program)
