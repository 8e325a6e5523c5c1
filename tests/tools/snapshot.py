"""All that a test wants to know of an unpacked or mounted tree, ready to be compared."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

#: Xattrs of the machinery. An asterisk at the end stands for anything.
MACHINERY = (b"trusted.overlay.*", b"user.ostreemeta", b"security.selinux")
#: ostree stores neither times nor, across layers, hard links.
UNSTORED = ("mtime_ns", "links")
MOST_DIFFERENCES = 20
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True)
class Node:
    """One file. `links` is the first path, in order, of those that share its inode."""

    kind: str
    mode: int
    uid: int
    gid: int
    xattrs: Mapping[bytes, bytes]
    size: int | None = None
    sha256: str | None = None
    target: bytes | None = None
    device: tuple[int, int] | None = None
    mtime_ns: int = 0
    links: bytes = b""


Snapshot = dict[bytes, Node]


def snapshot(root: Path | bytes, ignore_xattrs: Sequence[bytes] = MACHINERY) -> Snapshot:
    """Every file below `root` by its path relative to it; `root` itself is b'.'."""
    top = os.fsencode(root)
    first: dict[tuple[int, int], bytes] = {}
    found: Snapshot = {}
    for path in sorted(_walk(top)):
        full = top + b"/" + path
        status = os.lstat(full)
        links = first.setdefault((status.st_dev, status.st_ino), path)
        found[path] = _node(full, status, _xattrs(full, ignore_xattrs), links)
    return found


def assert_same(
    one: Mapping[bytes, Node],
    other: Mapping[bytes, Node],
    names: tuple[str, str] = ("ours", "theirs"),
    ignore: Sequence[str] = UNSTORED,
) -> None:
    """Fails with the paths and fields that differ, the first twenty of them."""
    found = list(differences(one, other, names, ignore))
    if found:
        more = len(found) - MOST_DIFFERENCES
        tail = [f"... and {more} more"] if more > 0 else []
        raise AssertionError("\n".join(["trees differ:", *found[:MOST_DIFFERENCES], *tail]))


def differences(
    one: Mapping[bytes, Node],
    other: Mapping[bytes, Node],
    names: tuple[str, str],
    ignore: Sequence[str] = UNSTORED,
) -> Iterator[str]:
    """A line for each path only one side has, and for each field that differs."""
    for path in sorted(one.keys() | other.keys()):
        shown = path.decode(errors="backslashreplace")
        if path not in other:
            yield f"{shown}: only in {names[0]} ({one[path].kind})"
        elif path not in one:
            yield f"{shown}: only in {names[1]} ({other[path].kind})"
        else:
            yield from _fields(shown, one[path], other[path], names, ignore)


def _fields(
    shown: str, one: Node, other: Node, names: tuple[str, str], ignore: Sequence[str]
) -> Iterator[str]:
    for name in (field.name for field in fields(Node) if field.name not in ignore):
        values = getattr(one, name), getattr(other, name)
        if values[0] != values[1]:
            left, right = (oct(v) if name == "mode" else repr(v) for v in values)
            yield f"{shown}: {name}: {names[0]} {left}, {names[1]} {right}"


def _walk(top: bytes) -> Iterator[bytes]:
    def fail(error: OSError) -> None:
        raise error

    yield b"."
    for folder, dirs, files in os.walk(top, onerror=fail):
        for name in dirs + files:
            yield (folder + b"/" + name)[len(top) + 1 :]


def _node(full: bytes, status: os.stat_result, xattrs: Mapping[bytes, bytes], links: bytes) -> Node:
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    is_device = kind in ("char", "block")
    return Node(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        xattrs=xattrs,
        # A directory's size is the file system's affair.
        size=status.st_size if kind == "file" else None,
        sha256=_sha256(full) if kind == "file" else None,
        target=os.readlink(full) if kind == "symlink" else None,  # noqa: PTH115 - pathlib has no bytes
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else None,
        mtime_ns=status.st_mtime_ns,
        links=links,
    )


def _sha256(full: bytes) -> str:
    with open(full, "rb") as file:  # noqa: PTH123 - pathlib has no bytes
        return hashlib.file_digest(file, "sha256").hexdigest()


def _xattrs(full: bytes, ignore: Sequence[bytes]) -> dict[bytes, bytes]:
    names = sorted(map(os.fsencode, os.listxattr(full, follow_symlinks=False)))
    kept = (name for name in names if not any(_matches(name, one) for one in ignore))
    return {name: os.getxattr(full, name, follow_symlinks=False) for name in kept}


def _matches(name: bytes, pattern: bytes) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith(b"*") else name == pattern
