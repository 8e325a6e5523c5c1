"""Check that a worker has the same versions and the same repo as the importing process."""

from __future__ import annotations

import os
import secrets
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from importer.errors import ImporterError, os_faults
from importer.files.replacement import open_regular
from layers.frozen import frozen

_NONCE = "nonce"
_MOST = 100  # bytes of a nonce
_SAME = "the import and all workers need the same versions, for instance the same container image"
_PATH = "the repo has to be on a file system that all workers have at the same path"


@frozen
class Agreement:
    """The versions and the directory that the importing process and all workers must share.

    `program` and `isal` are versions that decide the bytes of commits. `directory` is the directory
    for the workers' objects. Its file `nonce` holds the random text `nonce`, by which a worker
    knows the directory. Both are "" if each worker keeps the objects in a repo of its own.
    """

    program: str
    isal: str
    directory: str
    nonce: str

    @classmethod
    def made(cls, directory: Path | None) -> Self:
        """Write the nonce into the directory. Return the agreement for the workers."""
        program, isal = _version("import-image"), _version("isal")
        if directory is None:
            return cls(program, isal, "", "")
        nonce = secrets.token_hex(16)
        (directory / _NONCE).write_text(nonce)
        return cls(program, isal, str(directory), nonce)

    def check(self) -> None:
        """Raise ImporterError unless this process has these versions and sees this directory."""
        for name, wanted in (("import-image", self.program), ("isal", self.isal)):
            if (own := _version(name)) != wanted:
                message = f"it has {name} {own}, and the importing process has {wanted}"
                raise ImporterError(message, hint=_SAME)
        if self.directory:
            self._check_directory()

    def _check_directory(self) -> None:
        with os_faults(f"it does not see the repo: {self.directory}", _PATH):
            nonce, _ = _nonce_and_owner(Path(self.directory, _NONCE))
        if nonce != self.nonce:
            raise ImporterError(f"{self.directory} is not the same directory there", hint=_PATH)

    def answered(self) -> str:
        """Check the agreement on a worker, and write the nonce into a new file as proof.

        Return the file's name, "" if there is no common directory. Raise ImporterError as `check`
        does, or if the file cannot be written.
        """
        self.check()
        if not self.directory:
            return ""
        with os_faults(f"it cannot write to the repo: {self.directory}", _PATH):
            descriptor, path = tempfile.mkstemp(prefix="seen-", dir=self.directory)
            with os.fdopen(descriptor, "w") as file:
                file.write(self.nonce)
                file.flush()
                os.fsync(descriptor)
        return Path(path).name

    def prove(self, name: str) -> None:
        """Read the file that a worker wrote as proof, and remove it.

        Raise ImporterError if the file is missing here, or if another user wrote it: this process
        could not move that user's files.
        """
        if not self.directory:
            return
        path = Path(self.directory, name)
        with os_faults("a file that it wrote into the repo is not here", _PATH):
            nonce, owner = _nonce_and_owner(path)
            path.unlink()
        if nonce != self.nonce:
            raise ImporterError("a file that it wrote into the repo differs here", hint=_PATH)
        if owner != os.geteuid():
            message = (
                f"it writes to the repo as user {owner}, the importing process as {os.geteuid()}"
            )
            raise ImporterError(message, hint="run the workers as the user who runs the import")


def _nonce_and_owner(path: Path) -> tuple[str, int]:
    with open_regular(path) as file:
        return file.read(_MOST).decode("ascii", "replace"), os.fstat(file.fileno()).st_uid


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
