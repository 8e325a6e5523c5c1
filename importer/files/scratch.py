"""Make temporary directories that their process locks, and clear away those of killed processes."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import os_faults
from importer.files.descriptors import held

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# file-hierarchy(7): the first may be in memory, the second is on a disk.
_SMALL, _LARGE = "/tmp", "/var/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
_PREFIX = "import-image-scratch-"


def made_directory(where: Path, prefix: str | None = None) -> Path:
    """Make a private directory of a new name in `where`."""
    import tempfile  # with `random` and `shutil`; a command that finds nothing new makes none

    return Path(tempfile.mkdtemp(prefix=prefix, dir=where))


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, as far as that can be removed."""
    import shutil  # with `bz2` and `lzma`

    shutil.rmtree(path, ignore_errors=True)


class LockedDirectory:
    """A new directory in another one, locked while this process lives, and removed when closed.

    The kernel frees the lock of a killed process, which tells others that its directory is
    abandoned.
    """

    def __init__(self, where: Path, prefix: str) -> None:
        """Make the directory. Before it is locked, another process may take it for abandoned and
        remove it; then another one is made."""
        while True:
            self.directory = made_directory(where, prefix)
            with suppress(FileNotFoundError):
                self._lock = os.open(self.directory, OPEN_DIRECTORY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    self.directory.lstat()
                    return
                os.close(self._lock)

    def close(self) -> None:
        """Remove the directory with all that is left in it."""
        remove_directory(self.directory)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clear_abandoned(where: Path, prefix: str, *, of_all_users: bool) -> None:
    """Remove the directories in `where` that killed processes have left: those of this user, or
    `of_all_users`."""
    for path in where.glob(f"{prefix}*"):
        # Gone by now, not ours, or held.
        with suppress(OSError), held(os.open(path, OPEN_DIRECTORY)) as lock:
            if of_all_users or os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_directory(path)


@contextmanager
def scratch(*, large: bool = False) -> Iterator[Path]:
    """Yield a directory for files that other programs read, and remove it afterwards.

    With `large` it may have gigabytes. Raise ImporterError if it, or a file in it, cannot be
    written.
    """
    hint = "TMPDIR may name a directory that has room"
    with os_faults("a temporary file cannot be written", hint):
        import tempfile

        where = os.environ.get("TMPDIR") or _LARGE if large else tempfile.gettempdir()
        with LockedDirectory(Path(where), _PREFIX) as made:
            yield made.directory


def clear_abandoned_scratch() -> None:
    """Remove the directories that killed processes of this user have left."""
    given = os.environ.get("TMPDIR")
    for where in (given,) if given else (_SMALL, _LARGE):
        clear_abandoned(Path(where), _PREFIX, of_all_users=False)
