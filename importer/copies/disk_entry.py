"""Write one file, symlink or whiteout of a store to the disk, unless it is there already."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from hashlib import sha256
from stat import S_IFCHR, S_ISCHR, S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

from importer.copies.disk_owner import DiskOwners, owner_on_disk
from importer.errors import ImporterError
from importer.files.beneath import look_at, open_file
from importer.files.descriptors import held
from layers.errors import printable
from layers.ostree.objects import content_of
from layers.path import joined
from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.progress import Advance
    from importer.repo.values import StoredFile
    from importer.repo.writer import Repo
    from layers.entry import Owner
    from layers.path import Path

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = 1 << 20
# File systems limit the links of a file (ext4: 65,000).
_MOST_LINKS = 1000
_NO_LINK = (errno.EMLINK, errno.ENAMETOOLONG, errno.EPERM, errno.EXDEV)
_NO_WHITEOUTS = (
    "Linux before 5.8 lets only root make whiteouts, and overlayfs, as in a container build,"
    " nobody; --whiteouts=none makes a store that has none"
)


class DiskEntries:
    """Writes entries below `root`, the descriptor of a directory. A file that ostree stores once is
    on the disk once. `changed` tells whether an entry was written."""

    def __init__(self, repo: Repo, root: int, owners: DiskOwners, advance: Advance) -> None:
        self._repo = repo
        self._root = root
        self._owners = owners
        self._advance = advance
        self._linked: dict[tuple[str, Owner], tuple[Path, int]] = {}
        self.changed = False

    def write(self, directory: int, path: Path, checksum: str) -> None:
        """Make the entry at `path` equal to the object; `directory` is the descriptor of the
        directory that it is in."""
        hidden = unquoted(path[-1])
        if hidden is not None:
            self._whiteout(directory, (*path[:-1], hidden))
            return
        file = self._repo.file(checksum)
        if file.target is not None:
            self._symlink(directory, path, file, file.target.encode())
        elif not self._has_file(directory, path, file):
            self._file(directory, path, file)
            self.changed = True
        self._advance(file.size)

    def _file(self, directory: int, path: Path, file: StoredFile) -> None:
        owner = self._owners.possible(file.owner, path)
        with self._in_place(directory, path[-1]) as name:
            if self._link(directory, name, (file.checksum, owner)):
                return
            descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
            with os.fdopen(descriptor, "wb") as opened:
                opened.writelines(self._repo.intact(file))
                opened.flush()
                self._owners.give(descriptor, owner, path)
        self._note(path, file, owner)

    def _has_file(self, directory: int, path: Path, file: StoredFile) -> bool:
        """Return whether the file is there: its content, owner, permissions, xattrs and time."""
        owner = self._owners.possible(file.owner, path)
        try:
            descriptor = open_file(directory, path[-1])
        except OSError:  # absent, a symlink, or closed to us, so that it is none of ours
            return False
        with held(descriptor):
            status = os.fstat(descriptor)
            if not S_ISREG(status.st_mode) or status.st_size != file.size:
                return False
            if owner_on_disk(descriptor) != owner:
                return False
            hasher = sha256(content_of(file.owner, b"").header)
            while piece := os.read(descriptor, _READ):
                hasher.update(piece)
        same = hasher.hexdigest() == file.checksum
        if same:
            self._note(path, file, owner)
        return same

    def _note(self, path: Path, file: StoredFile, owner: Owner) -> None:
        """Note a file that others can be links to. An empty one is not worth a link."""
        if file.size:
            self._linked.setdefault((file.checksum, owner), (path, 1))

    def _link(self, directory: int, name: bytes, key: tuple[str, Owner]) -> bool:
        """Make a hard link to a file of the same object and owner. Return whether there is one."""
        path, links = self._linked.get(key, ((), 0))
        if not 0 < links < _MOST_LINKS:
            return False
        try:
            linked = look_at(self._root, joined(path))
            try:  # open(2), "O_TMPFILE"; only with a descriptor does Python call linkat(2)
                source = b"/proc/self/fd/%d" % linked
                os.link(source, name, src_dir_fd=0, dst_dir_fd=directory, follow_symlinks=True)
            finally:
                os.close(linked)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return False
        self._linked[key] = (path, links + 1)
        return True

    def _symlink(self, directory: int, path: Path, file: StoredFile, target: bytes) -> None:
        owner = self._owners.possible(file.owner, path)
        if _has_link(directory, path[-1], target, (owner.uid, owner.gid)):
            return
        with self._in_place(directory, path[-1]) as name:
            os.symlink(target, name, dir_fd=directory)
            self._owners.give_link(directory, name, owner, path)
        self.changed = True

    def _whiteout(self, directory: int, path: Path) -> None:
        mode, device = mode_and_device(directory, path[-1])
        if S_ISCHR(mode) and device == 0:
            return
        with self._in_place(directory, path[-1]) as name:
            try:
                os.mknod(name, S_IFCHR, 0, dir_fd=directory)
            except PermissionError as error:
                raise ImporterError(
                    f"the whiteout {printable(joined(path))} cannot be made: {error.strerror}",
                    hint=_NO_WHITEOUTS,
                ) from error
            os.utime(name, ns=(0, 0), dir_fd=directory, follow_symlinks=False)
        self.changed = True

    @contextmanager
    def _in_place(self, directory: int, name: bytes) -> Iterator[bytes]:
        """Yield the name to write under: `name`, or a temporary one that then replaces `name`."""
        mode, _ = mode_and_device(directory, name)
        if not mode:
            yield name
            return
        temporary = b".import-image-%b.tmp" % secrets.token_hex(8).encode()
        yield temporary
        if S_ISDIR(mode):
            remove(directory, name)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def mode_and_device(directory: int, name: bytes) -> tuple[int, int]:
    """Return the mode of an entry and its device's number; (0, 0) if there is none."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0, 0
    return status.st_mode, status.st_rdev


def _has_link(directory: int, name: bytes, target: bytes, ids: tuple[int, int]) -> bool:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if S_ISLNK(status.st_mode) and (status.st_uid, status.st_gid) == ids:
            same = os.readlink(name, dir_fd=directory) == target
            return same and status.st_mtime_ns == 0
    return False


def remove(directory: int, name: bytes) -> None:
    """Remove an entry, and a directory with its content, without following a symlink."""
    mode, _ = mode_and_device(directory, name)
    if not S_ISDIR(mode):
        os.unlink(name, dir_fd=directory)
        return
    if os.geteuid():  # others than root can empty only directories that they may write to
        os.chmod(name, 0o700, dir_fd=directory)
        for _, below, _, descriptor in os.fwalk(name, dir_fd=directory):
            for entry in below:
                if S_ISDIR(mode_and_device(descriptor, entry)[0]):
                    os.chmod(entry, 0o700, dir_fd=descriptor)
    shutil.rmtree(name, dir_fd=directory)
