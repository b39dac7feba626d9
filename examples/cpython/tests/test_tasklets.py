"""What the functions and types promise."""

import pathlib
import re
import weakref

import pytest
from rctx_tasklet import TaskletExit, channel, current, kill, schedule, switch, tasklet


def test_a_tasklet_is_runnable_as_soon_as_it_is_made():
    log = []
    made = tasklet(log.append, 1)
    assert made.alive and log == []
    schedule()
    assert not made.alive and log == [1]


def test_schedule_is_round_robin():
    log = []

    def count(name):
        for turn in range(3):
            log.append((name, turn))
            schedule()

    tasklets = [tasklet(count, name) for name in "abc"]
    turns = 0
    while any(each.alive for each in tasklets):
        schedule()
        turns += 1
    assert log == [(name, turn) for turn in range(3) for name in "abc"]
    assert turns == 4


def test_schedule_alone_returns():
    assert schedule() is None


def test_positional_and_keyword_arguments():
    got = []
    tasklet(lambda *args, **kwargs: got.append((args, kwargs)), 1, 2, three=3)
    schedule()
    assert got == [((1, 2), {"three": 3})]


@pytest.mark.parametrize("arguments", [(), (1,), (None, 2)])
def test_what_cannot_be_called_is_refused(arguments):
    with pytest.raises(TypeError, match="callable"):
        tasklet(*arguments)


def test_current():
    main, seen = current(), []
    made = tasklet(lambda: seen.append(current()))
    schedule()
    assert seen == [made] and current() is main and main.alive


def test_switch_runs_the_target_first_and_the_caller_next():
    log, main = [], current()

    def talk(name):
        for turn in range(2):
            log.append((name, turn))
            main.switch()

    first, second = tasklet(talk, "first"), tasklet(talk, "second")
    second.switch()
    first.switch()
    second.switch()
    assert log == [("second", 0), ("first", 0), ("second", 1)]
    switch(first)
    assert log[-1] == ("first", 1)


def test_switch_to_oneself_is_nothing():
    current().switch()


def test_switch_to_what_has_ended():
    made = tasklet(int)
    schedule()
    with pytest.raises(RuntimeError, match="ended"):
        made.switch()


def test_kill_raises_in_the_target():
    log = []

    def work():
        try:
            while True:
                schedule()
        except TaskletExit:
            log.append("exit")
            raise
        finally:
            log.append("finally")

    made = tasklet(work)
    schedule()
    made.kill()
    assert log == ["exit", "finally"] and not made.alive
    made.kill()


def test_kill_with_another_exception():
    def work():
        with pytest.raises(KeyError, match="why"):
            schedule()
        raise ValueError("uncaught")

    made = tasklet(work)
    schedule()
    with pytest.raises(ValueError, match="uncaught"):
        kill(made, KeyError("why"))
    assert not made.alive


def test_kill_of_what_has_not_begun():
    log = []
    made = tasklet(log.append, 1)
    made.kill()
    schedule()
    assert not made.alive and log == []


def test_kill_oneself():
    def work():
        current().kill()
        raise AssertionError("not reached")

    made = tasklet(work)
    schedule()
    assert not made.alive
    with pytest.raises(TaskletExit):
        current().kill()


def test_what_is_killed_may_live_on():
    def work():
        try:
            schedule()
        except TaskletExit:
            schedule()

    made = tasklet(work)
    schedule()
    made.kill()
    assert made.alive
    schedule()
    assert not made.alive


@pytest.mark.parametrize("what", [1, int, "text"])
def test_kill_with_no_exception(what):
    made = tasklet(schedule)
    schedule()
    with pytest.raises(TypeError, match="exception"):
        made.kill(what)
    assert made.alive


def test_a_tasklet_may_be_a_subclass_and_be_referred_to_weakly():
    class named(tasklet):
        name = "mine"

    made = named(int)
    made.note = made  # a cycle
    reference = weakref.ref(made)
    schedule()
    assert reference() is made and made.name == "mine"


def test_channel_hands_over_in_order():
    pipe, got = channel(), []

    def consume():
        while True:
            got.append(pipe.receive())

    consumer = tasklet(consume)
    for value in range(3):
        tasklet(pipe.send, value)
    schedule()
    schedule()
    assert got == [0, 1, 2]
    pipe.send(None)
    schedule()
    assert got == [0, 1, 2, None]
    consumer.kill()
    assert not consumer.alive


def test_channel_blocks_the_sender_until_one_receives():
    pipe, log = channel(), []

    def produce():
        pipe.send("value")
        log.append("sent")

    tasklet(produce)
    schedule()
    assert log == []
    assert pipe.receive() == "value"
    schedule()
    assert log == ["sent"]


def test_what_waits_in_a_channel_is_not_switched_to_but_killed():
    pipe = channel()
    waiting = tasklet(pipe.receive)
    schedule()
    with pytest.raises(RuntimeError, match="channel"):
        waiting.switch()
    waiting.kill()
    assert not waiting.alive
    tasklet(pipe.send, 1)
    assert pipe.receive() == 1


def test_deadlock_is_an_exception_in_main():
    pipe = channel()
    with pytest.raises(RuntimeError, match="deadlock"):
        pipe.receive()
    with pytest.raises(RuntimeError, match="deadlock"):
        pipe.send(1)
    tasklet(channel().receive)
    with pytest.raises(RuntimeError, match="deadlock"):
        pipe.receive()
    tasklet(pipe.send, 2)
    assert pipe.receive() == 2


def test_the_example_of_the_readme(python):
    readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
    (program,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    (promised,) = re.findall(r"print.*  # (.*)", program)
    assert python(program) == promised + "\n"
