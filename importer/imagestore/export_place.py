"""The place that an image is exported to: an OCI layout, or a directory of skopeo's dir:."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from importer.files.image_directory import ImageDirectory
from importer.files.oci_layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layers.chunks import Chunks
    from layers.digest import Digest


class ExportTarget(Protocol):
    """A place for one image. `finish` writes its manifest, when all else is there."""

    @property
    def manifest_types(self) -> tuple[str, ...]: ...
    def prepare(self) -> None: ...
    def has(self, digest: Digest, size: int, /) -> bool: ...
    def write(self, digest: Digest, chunks: Chunks, /) -> None: ...
    def written_elsewhere(self, digest: Digest, /) -> None: ...
    def write_signatures(self, signatures: Sequence[bytes], /) -> int: ...
    def finish(self, raw: bytes, digest: Digest, /) -> None: ...


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """The destination of an export: an OCI layout and a tag; "" keeps the image's own tag.

    With `tag` None the directory is one of skopeo's transport dir:.
    """

    directory: Path
    tag: str | None

    def target(self) -> ExportTarget:
        """Return the layout or directory to write."""
        if self.tag is None:
            return ImageDirectory(self.directory)
        return Layout(self.directory, self.tag)
