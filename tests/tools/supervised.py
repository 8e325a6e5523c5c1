"""Runs a command whose writing system calls another process answers: seccomp_unotify(2).

`python -m tests.tools.supervised write|read SOCKET COMMAND...` hands the descriptor on which the
kernel asks to the process that listens on the socket, and becomes the command. What the command
starts is supervised as well.
"""

import os
import socket
import sys
from collections.abc import Iterable

import seccomp

from tests.tools.syscalls import CALLS, OPENS, READS, WRITING


def supervise(names: Iterable[str]) -> int:
    """From now on, for this process and its children; the descriptor to be asked on."""
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in names:
        # A negative number: this architecture has no such call.
        if seccomp.resolve_syscall(seccomp.Arch(), name) < 0:
            continue
        if name not in OPENS:
            rules.add_rule(seccomp.NOTIFY, name)
            continue
        for flag in WRITING:
            condition = seccomp.Arg(OPENS[name], seccomp.MASKED_EQ, flag, flag)
            rules.add_rule(seccomp.NOTIFY, name, condition)
    rules.load()
    return int(rules.get_notify_fd())


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(sys.argv[2])
        calls = READS if sys.argv[1] == "read" else CALLS
        socket.send_fds(link, [b"\0"], [supervise(calls)])
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - that is its purpose
