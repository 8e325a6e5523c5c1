"""Runs a command to which the kernel denies openat2(2), as old container engines' filters do.

`python withoutopenat2.py COMMAND...`; what the command starts is denied it as well.
"""

import ctypes
import errno
import os
import sys

_PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_OPENAT2 = 437
# include/uapi/linux/bpf_common.h, seccomp.h
_LOAD_NUMBER = (0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS, seccomp_data.nr
_IF_OPENAT2 = (0x15, 0, 1, _OPENAT2)  # BPF_JMP | BPF_JEQ | BPF_K
_DENY = (0x06, 0, 0, 0x00050000 | errno.EPERM)  # BPF_RET, SECCOMP_RET_ERRNO
_ALLOW = (0x06, 0, 0, 0x7FFF0000)


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_Filter)))


def deny() -> None:
    """For this process and its children, for good."""
    steps = [_LOAD_NUMBER, _IF_OPENAT2, _DENY, _ALLOW]
    filters = (_Filter * len(steps))(*(_Filter(*step) for step in steps))
    program = _Program(len(steps), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    deny()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - that is its purpose
