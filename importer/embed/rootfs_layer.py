"""Write the files of a directory, a root file system, as a layer of a container image.

All times are zero, as ostree deploys files, so that equal trees have equal digests. SELinux labels
stay out, since bootc labels files by the image's policy, and `trusted.*` xattrs, which no container
runtime restores.
"""

from __future__ import annotations

import os
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

from importer.embed.layer_tar import write_tar
from importer.errors import ImporterError
from importer.files.beneath import Beneath, look_at, open_file
from importer.files.descriptors import check_regular, held
from importer.files.foreign import ForeignDirectory, entries_of, sized_pieces
from importer.files.xattrs import xattrs_of
from importer.progress import counted
from layers.chunks import Hashed
from layers.entry import SELINUX, Entry, Kind, Owner
from layers.path import joined
from layers.tar.writer import END, header, padding
from layers.whiteout import is_whiteout
from layers.words import several

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from layers.chunks import Chunks
    from layers.compress.compress import BlobCompression
    from layers.oci.derive import NewLayer
    from layers.path import Path

_CREATED_BY = "image-store embed: a root file system"
_TRUSTED = b"trusted."
_DEVICES = b"dev"
# The ostree repo whose objects a base image of bootc has its files linked to (bootc,
# crates/ostree-ext/src/tar/export.rs). Without the base's labels nothing reads the repo.
_SYSROOT = (b"sysroot",)


def rootfs_layer(
    root: FilePath, layout: Layout, compression: BlobCompression, progress: Progress
) -> NewLayer:
    """Write the directory's files into the layout as one layer. Raise ImporterError for what no
    layer can hold."""
    if layout.is_in(root):
        raise ImporterError(
            f"the destination is in {root}", hint="write the image to a directory outside"
        )
    with ForeignDirectory.named(root) as directory:
        tar = _RootfsTar(directory)
        with progress.blob(root.name, 0) as advance:
            hashed = Hashed(counted(tar.chunks(), advance))
            layer = write_tar(hashed, _CREATED_BY, layout, compression)
    if tar.devices:
        progress.message(f"left out of {root}/dev: {several(tar.devices, 'device')}")
    if tar.has_sysroot:
        progress.message(f"left out: the files in {root}/sysroot, which are ostree's own")
    return layer


class _RootfsTar:
    """Writes the tar. Afterwards `devices` counts the entries left out below /dev, and
    `has_sysroot` tells whether files in /sysroot were."""

    def __init__(self, root: ForeignDirectory) -> None:
        self._root = root
        self._device = os.fstat(root.descriptor).st_dev
        self._linked: dict[tuple[bytes, int, int], bytes] = {}
        self.devices = 0
        self.has_sysroot = False

    def chunks(self) -> Chunks:
        """Yield the tar: each directory before its entries, in the order of their names."""
        with Beneath(self._root.descriptor) as beneath:
            work: list[Path] = [()]
            while work:
                path = work.pop()
                with self._root.entry(joined(path)):
                    descriptor = beneath.directory(path)
                    yield self._directory(path, descriptor)
                    entries = self._entries(path, descriptor)
                    for name, status in entries:
                        if not S_ISDIR(status.st_mode):
                            yield from self._leaf(descriptor, (*path, name), status)
                below = [(*path, name) for name, status in entries if S_ISDIR(status.st_mode)]
                work += reversed(below)
        yield END

    def _directory(self, path: Path, descriptor: int) -> bytes:
        status = os.fstat(descriptor)
        if status.st_dev != self._device:
            raise ImporterError(
                "another file system is mounted there",
                hint="unmount it, or name a directory that has none, such as a mounted image",
            )
        owner = _owner(status, descriptor)
        return header(Entry(joined(path) or b".", Kind.DIRECTORY, owner), by_lines=True)

    def _entries(self, path: Path, descriptor: int) -> list[tuple[bytes, os.stat_result]]:
        entries = entries_of(descriptor)
        if path == _SYSROOT:
            self.has_sysroot = bool(entries)
            return []
        for name in (name for name, _ in entries if is_whiteout(name)):
            raise ImporterError(
                "a layer cannot hold this name, by which container images delete files",
                hint="remove or rename it",
                path=self._root.full(joined((*path, name))),
            )
        return entries

    def _leaf(self, directory: int, path: Path, status: os.stat_result) -> Chunks:
        with self._root.entry(joined(path)):
            if S_ISREG(status.st_mode):
                yield from self._file(directory, path, status)
            elif S_ISLNK(status.st_mode):
                yield _symlink(directory, path)
            elif path[0] == _DEVICES:
                self.devices += 1
            else:
                raise ImporterError(
                    "a device, fifo or socket, which bootc takes from no image",
                    hint="remove it; only those below /dev are left out by themselves",
                )

    def _file(self, directory: int, path: Path, status: os.stat_result) -> Chunks:
        # Only within a top directory: bootc drops others than /usr, /etc and /var, and a link
        # to a file in one of these would lead nowhere.
        key = (path[0], status.st_dev, status.st_ino)
        first = self._linked.setdefault(key, joined(path)) if status.st_nlink > 1 else joined(path)
        if first != joined(path):
            owner = Owner(S_IMODE(status.st_mode), status.st_uid, status.st_gid)
            yield header(Entry(joined(path), Kind.HARDLINK, owner, link=first), by_lines=True)
            return
        with held(open_file(directory, path[-1])) as descriptor:
            check_regular(descriptor)
            opened = os.fstat(descriptor)
            entry = Entry(joined(path), Kind.FILE, _owner(opened, descriptor), opened.st_size)
            yield header(entry, by_lines=True)
            yield from sized_pieces(descriptor, opened.st_size)
            yield padding(opened.st_size)


def _symlink(directory: int, path: Path) -> bytes:
    target = os.readlink(path[-1], dir_fd=directory)
    with held(look_at(directory, path[-1])) as descriptor:
        owner = _owner(os.fstat(descriptor), descriptor)
    return header(Entry(joined(path), Kind.SYMLINK, owner, link=target), by_lines=True)


def _owner(status: os.stat_result, descriptor: int) -> Owner:
    xattrs = tuple(
        (name, value)
        for name, value in xattrs_of(descriptor)
        if name != SELINUX and not name.startswith(_TRUSTED)
    )
    return Owner(S_IMODE(status.st_mode), status.st_uid, status.st_gid, xattrs)
