"""Write an image as skopeo's transport dir: does, a directory for one image.

Source of the format: github.com/containers/image, directory/directory_dest.go. A blob's file is
named by the hex digits of its digest; beside the blobs are `manifest.json`, `signature-1` and so
on, and `version`.
"""

from __future__ import annotations

import re
from stat import S_ISREG
from typing import TYPE_CHECKING

from importer.errors import ImporterError, os_faults
from importer.files.atomic import has_content, is_fresh, replace_file
from importer.files.sync import make_directory
from layers.oci.media_type import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from layers.chunks import Chunks
    from layers.digest import Digest

_VERSION = b"Directory Transport Version: 1.1\n"
_MANIFEST = "manifest.json"
# The files that the transport writes, but for `version`.
_OURS = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}|signature-[0-9]+|manifest\.json")


class ImageDirectory:
    """A directory of one image. A manifest is there only if all that it names is, too."""

    manifest_types = MANIFESTS

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: set[str] = set()

    def prepare(self) -> None:
        """Create the directory, or take over that of an earlier image.

        Raise ImporterError if the directory holds something else.
        """
        marker = self._directory / "version"
        with os_faults(f"writing {self._directory}"):
            make_directory(self._directory)
            if not is_fresh(self._directory) and not _is_version(marker):
                raise ImporterError(
                    f"{self._directory} is not empty, and has no image of skopeo's dir: transport",
                    hint="name a new directory",
                )
            (self._directory / _MANIFEST).unlink(missing_ok=True)
            replace_file(marker, iter([_VERSION]))

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether the blob of `size` bytes is there, with the content of the digest."""
        present = has_content(self._directory / digest.hex, digest, size)
        if present:
            self._written.add(digest.hex)
        return present

    def write(self, digest: Digest, chunks: Chunks) -> None:
        """Write a blob. `chunks` must raise at their end if they do not have this digest."""
        self._write(digest.hex, chunks)

    def written_elsewhere(self, digest: Digest) -> None:
        """Note a blob that another process has written: it stays when the image is finished."""
        self._written.add(digest.hex)

    def write_signatures(self, signatures: Sequence[bytes]) -> int:
        """Write the signatures of the manifest. Return their number."""
        for number, signature in enumerate(signatures, 1):
            self._write(f"signature-{number}", iter([signature]))
        return len(signatures)

    def finish(self, raw: bytes, _digest: Digest) -> None:
        """Remove the files of an earlier image, and write the manifest."""
        with os_faults(f"writing {self._directory}"):
            for path in self._left():
                path.unlink()
        self._write(_MANIFEST, iter([raw]))

    def _write(self, name: str, chunks: Chunks) -> None:
        path = self._directory / name
        with os_faults(f"writing {path}"):
            replace_file(path, chunks)
        self._written.add(name)

    def _left(self) -> Iterator[Path]:
        for path in self._directory.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in self._written:
                yield path


def _is_version(path: Path) -> bool:
    """Return whether the path is a regular file with the transport's version. Raise OSError."""
    try:
        if not S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with path.open("rb") as file:
        return file.read(len(_VERSION) + 1) == _VERSION
