"""Find out whether a tree is mounted or in use: proc_pid_mountinfo(5), proc_pid_fd(5)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from layers.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
# Mount options of overlayfs that name its layers.
_LAYERS = re.compile(rb"(?:lowerdir\+?|upperdir|workdir)=([^,]*)")


def use_of(root: bytes) -> str | None:
    """Return a text that says how a tree is in use, None if no use is found.

    `root` is an absolute path without symlinks. A mount counts in any mount namespace that this
    user may look into; the root itself may be a mount point.
    """
    below = root.rstrip(b"/") + b"/"
    return next(_mounts(below), None) or next(_open_files(below), None)


def _mounts(below: bytes) -> Iterator[str]:
    seen: set[Path] = set()
    for process in _processes():
        with suppress(OSError):
            namespace = (process / "ns/mnt").readlink()
            if namespace not in seen:
                seen.add(namespace)
                for line in (process / "mountinfo").read_bytes().splitlines():
                    yield from _mount(line, below)


def _mount(line: bytes, below: bytes) -> Iterator[str]:
    fields, _, rest = line.partition(b" - ")
    point = _unescaped(fields.split(b" ")[4])
    if point.startswith(below):
        yield f"{printable(point)} is a mount point"
    kind, _, options = rest.split(b" ", 2)
    if kind in (b"overlay", b"fuse.fuse-overlayfs"):
        for layers in _LAYERS.findall(options):
            for layer in _unescaped(layers).split(b":"):
                if (layer + b"/").startswith(below):
                    yield f"{printable(layer)} is a layer of the mount at {printable(point)}"


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), text)


def _open_files(below: bytes) -> Iterator[str]:
    for process in _processes():
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    target = os.fsencode(descriptor.readlink())
                    if target.startswith(below):
                        name = (process / "comm").read_text(errors="replace").strip()
                        yield f"{name} (process {process.name}) has {printable(target)} open"


def _processes() -> Iterator[Path]:
    return (entry for entry in _PROC.iterdir() if entry.name.isdigit())
