"""A file of an image, found in the image's own layers.

A release payload's list of images is one, `release-manifests/image-references` (openshift/oc
pkg/cli/admin/release/new.go); MicroShift's release files in its images are others. Layers are read
as docs/semantics.md says. Layers that ostree made have hard links to objects in place of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.document import MAX_DOCUMENT_SIZE
from layers.entry import Entry, Kind
from layers.errors import LayerError
from layers.path import Path, components
from layers.tar.reader import TarReader
from layers.tar.recorder import NoRecord
from layers.whiteout import OPAQUE_MARKER, hidden_name, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.chunks import Chunks


@dataclass(slots=True)
class LayerFile:
    """One layer's copy of a file: its content, or the path in the layer that it is a hard link to;
    and whether the layer hides a lower layer's."""

    content: bytes | None = None
    link: Path | None = None
    hides: bool = False


def find_file(chunks: Chunks, path: Path) -> LayerFile:
    """Read a layer's tar to its end. Raise LayerError, with the entry's path, for a malformed tar,
    or a file that is too large or not regular."""
    file = LayerFile()
    tar = TarReader(chunks, NoRecord())
    for entry in tar:
        try:
            _look(entry, tar, path, file)
        except LayerError as error:
            raise error.within(path=entry.path) from None
    return file


def _look(entry: Entry, tar: TarReader, wanted: Path, file: LayerFile) -> None:
    path = components(entry.path)
    if path and is_whiteout(path[-1]):
        opaque = path[-1] == OPAQUE_MARKER
        hidden = path[:-1] if opaque else (*path[:-1], hidden_name(path[-1]))
        file.hides |= wanted[: len(hidden)] == hidden and not (opaque and hidden == wanted)
    elif wanted[: len(path)] != path:
        return
    elif entry.kind is Kind.CHAR and entry.device == (0, 0):
        file.hides = True
    elif path == wanted and entry.kind is Kind.HARDLINK:
        file.content, file.link = None, components(entry.link)
    elif path == wanted:
        file.content, file.link = _content(entry, tar), None
    elif entry.kind is not Kind.DIRECTORY:
        file.content, file.link, file.hides = None, None, True


def _content(entry: Entry, tar: TarReader) -> bytes:
    if entry.kind is not Kind.FILE:
        raise LayerError("the file is not a regular file")
    if entry.size > MAX_DOCUMENT_SIZE:
        raise LayerError(f"the file has {entry.size} bytes, more than {MAX_DOCUMENT_SIZE}")
    return tar.whole()


def topmost(layers: Iterable[LayerFile]) -> bytes | None:
    """Return the file as the layers, topmost first, show it, or None. No more layers are read than
    needed."""
    for file in layers:
        if file.content is not None:
            return file.content
        if file.hides:
            return None
    return None
