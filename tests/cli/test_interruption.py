"""A signal ends the program at whatever moment it comes."""

import signal
import subprocess
import sys

import pytest

from tests.tools import patience
from tests.tools.process import run

#: For each of the two signals. Without a thread for the work, one in fifty is not heard.
TRIES = 125
IN_TURN = """
from importer.cli.signals import interruptible
print(interruptible(lambda: 3))
interruptible(lambda: {}["the-key"])
"""
#: A program that waits for ever, and is sent a signal meanwhile.
WAITING = """
import os, sys, threading
from importer.cli.signals import interruptible
def work():
    os.kill(os.getpid(), int(sys.argv[1]))
    threading.Event().wait()
interruptible(work)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_moment_at_which_it_is_not_heard(number: signal.Signals) -> None:
    program = [sys.executable, "-m", "tests.tools.signalled", str(number), str(TRIES)]
    assert run(program) == "0\n"


def test_what_the_work_gives_and_what_it_raises() -> None:
    """A bug is a traceback, down to the line that has it."""
    with pytest.raises(AssertionError) as failure:
        run([sys.executable, "-c", IN_TURN])
    assert "3\n" in str(failure.value)
    assert "lambda" in str(failure.value)
    assert "KeyError: 'the-key'" in str(failure.value)


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_1_of_a_container_ends_too(number: signal.Signals) -> None:
    argv = ["unshare", "--pid", "--fork", sys.executable, "-c", WAITING, str(int(number))]
    done = subprocess.run(argv, check=False, timeout=patience.SECONDS)
    assert done.returncode == 128 + number
