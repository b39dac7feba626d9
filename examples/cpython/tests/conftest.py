import gc
import subprocess
import sys

import pytest
import rctx_tasklet


@pytest.fixture(autouse=True)
def nothing_left_over():
    """Each test begins and ends in the main tasklet, with no other one that is runnable."""
    main = rctx_tasklet.current()
    yield
    assert rctx_tasklet.current() is main
    rctx_tasklet._close()
    gc.collect()


@pytest.fixture
def python():
    """Runs a program in an interpreter of its own; returns what it printed."""

    def run(program, status=0):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run
