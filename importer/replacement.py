"""Files that are replaced as a whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from errno import EISDIR
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError

if TYPE_CHECKING:
    from types import TracebackType

_NEW = 0o666


class Replacement:
    """New content, beside the file until `publish`; whoever reads sees the old or the new.

    Written before the work that it tells of is done, so that a full disk or a directory
    without permission stops that work, and not its report.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._final = path.resolve()  # a symlink stays one
        self._content = content

    def __enter__(self) -> Self:
        try:
            if self._final.is_dir():
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
            self._write()
        except OSError as error:
            raise ImporterError(f"{self.path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._temporary.unlink(missing_ok=True)

    def _write(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".import-image-", dir=self._final.parent)
        self._temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._content)
                file.flush()
                os.fchmod(descriptor, self._mode())
                os.fsync(descriptor)
        except BaseException:
            self._temporary.unlink()
            raise

    def _mode(self) -> int:
        """The old file's permissions; a new one has those that the umask leaves."""
        with suppress(FileNotFoundError):
            return self._final.stat().st_mode & 0o777
        umask = os.umask(0o077)
        os.umask(umask)
        return _NEW & ~umask

    def publish(self) -> bool:
        """Put it in place; False, and nothing done, if the file has just this content."""
        try:
            with suppress(FileNotFoundError):
                if self._final.read_bytes() == self._content:
                    return False
            self._temporary.replace(self._final)
        except OSError as error:
            raise ImporterError(f"{self.path} cannot be replaced: {error.strerror}") from error
        return True


def read_file(path: Path, limit: int) -> bytes:
    """A file of the user's, of `limit` bytes at most; ImporterError if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ImporterError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise ImporterError(f"{path} has more than {limit} bytes")
    return data
