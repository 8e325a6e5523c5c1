"""The kernel's overlayfs over layers, as podman mounts an image."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.tools.process import CommandError, run


@contextmanager
def overlay_mount(lowers: Sequence[Path], where: Path, options: str = "") -> Iterator[Path]:
    """Mounts `lowers`, nearest first, read-only at `where` (made if absent)."""
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ov-") as short:
        layers = _options(lowers, Path(short))
        run(["mount", "-t", "overlay", "overlay", "-o", layers + options, where])
        try:
            yield where
        finally:
            unmount(where)


@contextmanager
def read_only(tree: Path, where: Path) -> Iterator[Path]:
    """The tree at another place, where not even root can write: as below a device's /usr."""
    where.mkdir()
    run(["mount", "--bind", tree, where])
    try:
        run(["mount", "-o", "remount,bind,ro", where])
        yield where
    finally:
        unmount(where)


def unmount(where: Path) -> None:
    """Unmounts; what still keeps it busy loses it as soon as it is done."""
    try:
        run(["umount", where])
    except CommandError:
        run(["umount", "--lazy", where])


def _options(lowers: Sequence[Path], short: Path) -> str:
    # `lowerdir=a:b:...` shares one page (4096 bytes) with all other options, and takes colons
    # and commas apart. `lowerdir+` (Linux 6.7, Documentation/filesystems/overlayfs.rst) adds
    # one layer by fsconfig(2), whose values end at 255 bytes. Links make every path short.
    links = [short / str(number) for number in range(len(lowers))]
    for link, lower in zip(links, lowers, strict=True):
        link.symlink_to(lower.resolve(strict=True))
    # Without an upper layer the kernel wants two lower ones.
    empty = short / "empty"
    empty.mkdir()
    if len(links) < 2:
        links.append(empty)
    return ",".join(["ro", *(f"lowerdir+={os.fspath(link)}" for link in links)])
