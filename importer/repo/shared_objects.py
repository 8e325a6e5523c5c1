"""Objects that other machines write, on a file system that they share with this one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from importer.repo.object_file import move_objects
from importer.repo.staged_objects import claimed, clear_abandoned, moving
from importer.repo.staging import ObjectPlace

if TYPE_CHECKING:
    from types import TracebackType


class SharedObjects:
    """A directory of our own below the repo's `tmp`, in which each writer makes directories.

    A writer makes its objects durable; then `adopt` moves them to where readers look. What is not
    adopted is removed at the end.
    """

    def __init__(self, repo: Path, mode: str, reserved: int) -> None:
        """`reserved` is how many bytes have to stay free on the disk."""
        top = Path(os.path.abspath(repo))  # noqa: PTH100 - the path as others have it, symlinks too
        clear_abandoned(top / "tmp")
        self.directory, self._held = claimed(top / "tmp")
        self.place = ObjectPlace(mode, str(top / "objects"), str(self.directory), reserved)

    def adopt(self, directory: str) -> None:
        """Move all objects in a writer's directory into the repo. Raise OSError as rename(2)."""
        with moving:
            for part in Path(directory).iterdir():
                move_objects(self.place.objects, str(part))
        shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        """Remove the objects that were not adopted."""
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._held)

    def __enter__(self) -> SharedObjects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()
