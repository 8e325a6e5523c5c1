"""The system calls that write to a file system, and the file that one of them is about."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: By the argument that has the file's descriptor.
_BY_DESCRIPTOR = {
    "write": 0, "writev": 0, "pwrite64": 0, "pwritev": 0, "pwritev2": 0, "ftruncate": 0,
    "fallocate": 0, "fsync": 0, "fdatasync": 0, "syncfs": 0, "fsetxattr": 0, "fremovexattr": 0,
    "fchmod": 0, "fchown": 0, "sendfile": 0, "splice": 2, "copy_file_range": 2,
}  # fmt: skip
#: By the argument that has a path.
_BY_PATH = {
    "open": 0, "creat": 0, "mkdir": 0, "rename": 1, "link": 1, "symlink": 1, "unlink": 0,
    "rmdir": 0, "truncate": 0, "chmod": 0, "chown": 0, "lchown": 0, "setxattr": 0, "lsetxattr": 0,
    "removexattr": 0, "lremovexattr": 0,
}  # fmt: skip
#: By the argument that has a directory's descriptor; the next one is the path below.
_BELOW = {
    "openat": 0, "mkdirat": 0, "renameat": 2, "renameat2": 2, "linkat": 2, "symlinkat": 1,
    "unlinkat": 0, "fchmodat": 0, "fchmodat2": 0, "fchownat": 0, "utimensat": 0, "mknodat": 0,
}  # fmt: skip
#: Those that read a file's content, by the same argument.
READS = {"read": 0, "readv": 0, "pread64": 0, "preadv": 0, "preadv2": 0, "splice": 0}
CALLS = (*_BY_DESCRIPTOR, *_BY_PATH, *_BELOW)
#: Those that need not write, by the argument with the flags; and the flags with which they do.
OPENS = {"open": 1, "openat": 2}
WRITING = (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC)
#: Those that only remove: what is left behind harms nobody, and is removed the next time.
REMOVING = ("unlink", "unlinkat", "rmdir")
_AT_FDCWD = (1 << 32) - 100
_PATH_MAX = 4096
_BY_NUMBER = re.compile(r"/proc/self/fd/(\d+)")
#: What differs from run to run in a name.
_CHANGING = re.compile(
    r"[0-9a-f]{62,64}|(?<=import-image-)\w{8}|(?<=staging-)[0-9a-f-]{36}-\w{6}"
    r"|(?<=tmp\.)\w{6}|(?<=tmplink\.)\w{6}|(?<=/tmp)\w{8}|#\d+ \(deleted\)"
    r"|(?<=/)[0-9a-f]{2}(?=/|$)|\w{26}(?=$)"
)


@dataclass(frozen=True)
class Call:
    """A system call's name, and its file's path below the directory that is watched."""

    name: str
    path: str

    @property
    def kind(self) -> str:
        """The same for each run, and for all files of a sort."""
        return f"{self.name} {_CHANGING.sub('*', self.path)}"


def call_below(
    place: Path, pid: int, name: str, arguments: Sequence[int], *, reading: bool = False
) -> Call | None:
    """The call that a thread waits in, if it is about a file below the place; with `reading`, one
    that reads."""
    try:
        found = _of_descriptor(pid, arguments[0]) if reading else _path(pid, name, arguments)
        path = os.path.normpath(found)
    except OSError:
        return None  # the thread has gone
    root = f"{place}/"
    return Call(name, path.removeprefix(root)) if path.startswith(root) else None


def _path(pid: int, name: str, arguments: Sequence[int]) -> str:
    if name in _BY_DESCRIPTOR:
        return _of_descriptor(pid, arguments[_BY_DESCRIPTOR[name]])
    if name in _BY_PATH:
        path = _text(pid, arguments[_BY_PATH[name]])
        if found := _BY_NUMBER.match(path):
            return _of_descriptor(pid, int(found[1])) + path[found.end() :]
        return os.path.join(_cwd(pid), path)  # noqa: PTH118
    at = _BELOW[name]
    below = arguments[at] & 0xFFFFFFFF
    directory = _cwd(pid) if below == _AT_FDCWD else _of_descriptor(pid, below)
    address = arguments[at + 1]
    return os.path.join(directory, _text(pid, address)) if address else directory  # noqa: PTH118


def _of_descriptor(pid: int, descriptor: int) -> str:
    return str(Path(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}").readlink())


def _cwd(pid: int) -> str:
    return str(Path(f"/proc/{pid}/cwd").readlink())


def _text(pid: int, address: int) -> str:
    """The string at an address. What is behind it may not be mapped: a page at a time."""
    found = b""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        while b"\0" not in found and len(found) < _PATH_MAX:
            at = address + len(found)
            memory.seek(at)
            found += memory.read(_PATH_MAX - at % _PATH_MAX)
    return os.fsdecode(found.partition(b"\0")[0])
