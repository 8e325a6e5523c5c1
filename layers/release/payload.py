"""A release payload's list of images, found in the payload's own layers.

Source: openshift/oc pkg/cli/admin/release/new.go: the ImageStream of all images is the file
`release-manifests/image-references`. Layers are read as docs/semantics.md says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.document import MAX_DOCUMENT_SIZE
from layers.entry import Entry, Kind
from layers.errors import LayerError
from layers.path import components
from layers.tar.reader import TarReader
from layers.tar.recorder import NoRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.chunks import Chunks

_DIRECTORY = (b"release-manifests",)
_FILE = (b"release-manifests", b"image-references")
NAME = "release-manifests/image-references"
_HIDING = frozenset(
    [
        (b".wh..wh..opq",),
        (b".wh.release-manifests",),
        (b"release-manifests", b".wh..wh..opq"),
        (b"release-manifests", b".wh.image-references"),
    ]
)


@dataclass(slots=True)
class ImageReferences:
    """One layer's copy of the file: its content, and whether the layer hides a lower layer's."""

    content: bytes | None = None
    hides: bool = False


def find_references(chunks: Chunks) -> ImageReferences:
    """Read a layer's tar to its end. Raise LayerError, with the entry's path, for a malformed tar,
    or a list that is too large or no regular file."""
    references = ImageReferences()
    tar = TarReader(chunks, NoRecord())
    for entry in tar:
        try:
            _look(entry, tar, references)
        except LayerError as error:
            raise error.within(path=entry.path) from None
    return references


def _look(entry: Entry, tar: TarReader, references: ImageReferences) -> None:
    path = components(entry.path)
    if path in _HIDING or (path in (_DIRECTORY, _FILE) and _is_whiteout_device(entry)):
        references.hides = True
    elif path == _FILE:
        references.content = _content(entry, tar)
    elif path == _DIRECTORY and entry.kind is not Kind.DIRECTORY:
        references.content, references.hides = None, True


def _is_whiteout_device(entry: Entry) -> bool:
    return entry.kind is Kind.CHAR and entry.device == (0, 0)


def _content(entry: Entry, tar: TarReader) -> bytes:
    if entry.kind is not Kind.FILE:
        raise LayerError("the list of a payload's images is not a regular file")
    if entry.size > MAX_DOCUMENT_SIZE:
        raise LayerError(f"the list of a payload's images has {entry.size} bytes")
    return tar.whole()


def topmost(layers: Iterable[ImageReferences]) -> bytes | None:
    """Return the file as the layers, topmost first, show it, or None. No more layers are read than
    needed."""
    for references in layers:
        if references.content is not None:
            return references.content
        if references.hides:
            return None
    return None
