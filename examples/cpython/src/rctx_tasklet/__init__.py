"""Tasklets on rctx: Python functions that suspend anywhere, through any C code, on the thread's one C stack."""

import atexit

from ._tasklet import TaskletExit, _close, channel, current, schedule, tasklet

__all__ = ["TaskletExit", "channel", "current", "kill", "schedule", "switch", "tasklet"]

switch = tasklet.switch
kill = tasklet.kill

# While modules are whole: what is suspended in a `finally` or `with` may need them.
atexit.register(_close)
