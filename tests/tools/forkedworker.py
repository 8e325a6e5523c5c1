"""The worker processes of a command from the fork server: forks, too.

A worker process spends most of its time with its start and its imports, where layers are small. So
a command has a fork server of its own, which is a fork of the command, made before the command has
threads. In this process alone, `subprocess.Popen` asks that server for each worker process.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from importer.process import TIED
from tests.tools.forking import Fork, fork_for

#: How the command line of a worker process begins (importer/workers/pool.py).
BEGINNING = [*TIED, sys.executable, "-S", "-E", "-c"]


def fork_workers() -> None:
    """Have this process, a command without threads, start its worker processes as forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        _leave_group()
        fork_for(theirs, _become)
        os._exit(0)
    theirs.close()
    start = subprocess.Popen

    def popen(argv: Sequence[str], **how: Any) -> Fork | subprocess.Popen[bytes]:
        if argv[: len(BEGINNING)] == BEGINNING:
            return Fork(ours, [how["stderr"].fileno(), *how["pass_fds"]])
        return start(argv, **how)

    subprocess.Popen = popen  # type: ignore[assignment, misc]


def _leave_group() -> None:
    """Enter a process group of our own, and have no input and no outputs."""
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.close(null)


def _become(numbers: Sequence[int]) -> NoReturn:
    """Turn this fork into a worker process."""
    from importer.workers.worker import serve

    stderr, asker = numbers
    os.setpgid(0, 0)
    os.dup2(stderr, 2)
    os.close(stderr)
    with suppress(SystemExit):
        serve(asker)
    os._exit(0)
