"""What Python keeps for a thread, and each tasklet has of its own."""

import contextvars
import sys
import threading
import traceback
import weakref

import pytest
from rctx_tasklet import TaskletExit, current, kill, schedule, tasklet


def run(*tasklets):
    while any(each.alive for each in tasklets):
        schedule()


def test_an_exception_that_nobody_catches_is_raised_in_main():
    def inner():
        schedule()
        raise ValueError("from a tasklet")

    made = tasklet(inner)
    schedule()
    with pytest.raises(ValueError, match="from a tasklet") as caught:
        schedule()
    assert not made.alive
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "inner" and names[0].startswith("test_an_exception")


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_exits_reach_main(exception):
    def leave():
        raise exception

    tasklet(leave)
    with pytest.raises(exception):
        schedule()


def test_the_exception_being_handled_is_each_tasklets():
    def handle(name):
        try:
            raise KeyError(name)
        except KeyError as error:
            for _ in range(3):
                schedule()
                assert sys.exc_info()[1] is error
            with pytest.raises(ValueError) as caught:
                raise ValueError
            assert caught.value.__context__ is error
        assert sys.exc_info() == (None, None, None)

    try:
        raise IndexError
    except IndexError as mine:
        tasklets = [tasklet(handle, name) for name in "abc"]
        while any(each.alive for each in tasklets):
            schedule()
            assert sys.exc_info()[1] is mine


def test_reraise_after_a_switch():
    def handle(name):
        with pytest.raises(KeyError, match=name):
            try:
                raise KeyError(name)
            finally:
                schedule()

    run(*(tasklet(handle, name) for name in "abc"))


def test_generators_that_handle_exceptions():
    def numbers(name):
        try:
            raise KeyError(name)
        except KeyError as error:
            while True:
                yield
                schedule()
                assert sys.exc_info()[1] is error

    def work(name):
        source = numbers(name)
        for _ in range(3):
            next(source)
            assert sys.exc_info()[1] is None

    run(*(tasklet(work, name) for name in "abc"))


def test_a_traceback_ends_at_the_tasklets_function():
    stacks = []

    def outer():
        inner()

    def inner():
        schedule()
        stacks.append([entry.name for entry in traceback.extract_stack()])

    run(tasklet(outer), tasklet(outer))
    assert stacks == [["outer", "inner"]] * 2


def test_frames_of_a_suspended_tasklet_can_be_followed():
    frames = []

    def key(each):
        frames.append(sys._getframe())
        schedule()
        return each

    def outer():
        sorted([1], key=lambda each: sum(map(key, [each])))

    made = [tasklet(outer), tasklet(outer)]
    schedule()
    for frame in list(frames):
        names = [entry[0].f_code.co_name for entry in traceback.walk_stack(frame)]
        assert names == ["key", "<lambda>", "outer"]
    run(*made)


def test_a_running_generator_of_a_suspended_tasklet():
    def source():
        yield schedule()

    generator = source()
    made = tasklet(lambda: list(generator))
    schedule()
    names = [entry[0].f_code.co_name for entry in traceback.walk_stack(generator.gi_frame)]
    assert names == ["source", "<lambda>"]
    with pytest.raises(ValueError, match="already executing"):
        next(generator)
    run(made)


VARIABLE = contextvars.ContextVar("variable", default="none")


def test_context_variables():
    VARIABLE.set("main")

    def work(name):
        assert VARIABLE.get() == "main"  # as it was when the tasklet was made
        VARIABLE.set(name)
        for _ in range(3):
            schedule()
            assert VARIABLE.get() == name

    tasklets = [tasklet(work, name) for name in "abc"]
    VARIABLE.set("later")
    while any(each.alive for each in tasklets):
        schedule()
        assert VARIABLE.get() == "later"


def test_context_run_across_switches():
    def work(name):
        VARIABLE.set(name)
        schedule()
        return VARIABLE.get()

    got = []
    run(*(tasklet(lambda name=name: got.append(contextvars.copy_context().run(work, name))) for name in "abc"))
    assert got == ["a", "b", "c"]


def test_threading_local_is_the_threads():
    local = threading.local()
    local.value = "main"

    def work():
        assert local.value == "main"
        assert threading.current_thread() is threading.main_thread()

    run(tasklet(work))


def deepest(level=0):
    try:
        return deepest(level + 1)
    except RecursionError:
        return level


def deepest_through_c(level=0):
    try:
        return max(map(deepest_through_c, [level + 1]))
    except RecursionError:
        return level


@pytest.mark.parametrize("dive", [deepest, deepest_through_c])
def test_recursion_error(dive):
    here, there = dive(), []
    run(*(tasklet(lambda: there.append((schedule(), dive())[1])) for _ in range(3)))
    assert len(there) == 3
    for depth in there:
        assert abs(depth - here) < 60


def test_recursion_that_is_suspended():
    def dive(level):
        try:
            if level % 50 == 0:
                schedule()
            return dive(level + 1)
        except RecursionError:
            return level

    depths = []
    run(*(tasklet(lambda: depths.append(dive(0))) for _ in range(5)))
    assert len(depths) == 5 and max(depths) - min(depths) <= 1 and min(depths) > 500


def test_a_tasklet_begins_as_deep_as_main_is():
    there = []

    def down(level):
        if level:
            return down(level - 1)
        here = deepest()
        tasklet(lambda: there.append(deepest()))
        schedule()
        return here

    assert abs(down(500) - there[0]) < 60


def test_depths_of_suspended_tasklets_do_not_add_up():
    def dive(level):
        return sum(map(dive, [level - 1])) if level else schedule() or 0

    made = [tasklet(dive, 60) for _ in range(300)]
    schedule()
    assert dive(60) == 0
    run(*made)


def test_a_recursion_error_that_is_handled_across_a_switch():
    def dive():
        try:
            dive()
        except RecursionError:
            schedule()

    made = [tasklet(dive) for _ in range(3)]
    schedule()
    assert deepest() > 500
    for each in made:
        each.kill()


def test_recursion_limit_set_meanwhile():
    limit = sys.getrecursionlimit()
    made = tasklet(lambda: (schedule(), depths.append(deepest())))
    depths = []
    schedule()
    sys.setrecursionlimit(limit + 500)
    try:
        here = deepest()
        schedule()
    finally:
        sys.setrecursionlimit(limit)
    assert not made.alive and abs(depths[0] - here) < 60


def test_settrace_sees_every_tasklet():
    lines = []

    def work(name):
        one = name
        schedule()
        two = one
        return two

    def trace(frame, event, argument):
        if frame.f_code is work.__code__:
            lines.append((frame.f_locals["name"], event, frame.f_lineno - work.__code__.co_firstlineno))
        return trace

    before = tasklet(work, "before")
    schedule()
    old = sys.gettrace()
    sys.settrace(trace)
    try:
        after = tasklet(work, "after")
        while before.alive or after.alive:
            schedule()
    finally:
        sys.settrace(old)
    steps = [entry[1:] for entry in lines if entry[0] == "after"]
    assert steps == [("call", 0), ("line", 1), ("line", 2), ("line", 3), ("line", 4), ("return", 4)]


def test_a_trace_function_that_switches():
    seen = []

    def trace(frame, event, argument):
        if frame.f_code in (traced.__code__, other.__code__):
            seen.append((frame.f_code.co_name, event))
        if frame.f_code is traced.__code__ and event == "line":
            schedule()  # the other one is traced, although this one is in a trace function
            seen.append("back")
        return trace

    def traced():
        return 1

    def other():
        return 2

    tasklet(lambda: other())
    old = sys.gettrace()
    sys.settrace(trace)
    try:
        traced()
    finally:
        sys.settrace(old)
    steps = {name: [(name, event) for event in ("call", "line", "return")] for name in ("traced", "other")}
    assert seen == steps["traced"][:2] + steps["other"] + ["back"] + steps["traced"][2:]


def test_profilers_see_every_tasklet():
    calls = []

    def leaf():
        pass

    def work():
        leaf()
        schedule()
        leaf()

    made = [tasklet(work) for _ in range(3)]
    sys.setprofile(lambda frame, event, argument: calls.append((event, frame.f_code.co_name)))
    try:
        while any(each.alive for each in made):
            schedule()
    finally:
        sys.setprofile(None)
    assert calls.count(("call", "leaf")) == 6 and calls.count(("return", "work")) == 3


def test_cprofile():
    import cProfile

    profile = cProfile.Profile()

    def work():
        schedule()

    profile.enable()
    run(*(tasklet(work) for _ in range(3)))
    profile.disable()
    profile.create_stats()
    assert any(key[2] == "work" for key in profile.stats)


def test_kill_carries_its_traceback():
    made = tasklet(schedule)
    schedule()
    error = ValueError("given")
    with pytest.raises(ValueError) as caught:
        kill(made, error)
    assert caught.value is error


def test_deallocators_nest_across_switches():
    """Deep ones are put off, by a count that is each tasklet's."""

    class Switching:
        def __del__(self):
            schedule()

    class Token:
        pass

    def nest(chain, depth):
        for _ in range(depth):
            chain = [chain]
        return chain

    def work():
        chain = nest(Switching(), 40)
        del chain

    made = [tasklet(work) for _ in range(3)]
    schedule()
    assert all(each.alive for each in made)
    token = Token()
    reference = weakref.ref(token)
    chain = nest(token, 30)
    del token, chain
    assert reference() is None
    run(*made)


def test_repr():
    class Slow:
        def __repr__(self):
            schedule()
            return "slow"

    texts = []
    run(*(tasklet(lambda: texts.append(repr([Slow()]))) for _ in range(3)))
    assert texts == ["[slow]"] * 3


def test_taskletexit_is_no_exception_of_programs():
    assert issubclass(TaskletExit, BaseException) and not issubclass(TaskletExit, Exception)
    assert current().alive
