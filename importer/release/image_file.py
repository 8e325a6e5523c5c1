"""Read one file of an image, such as the list in a release's payload; nothing else is unpacked."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from layers.chunks import DiffID, drain
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.path import Path, components
from layers.tree.watched import file_in_layer

if TYPE_CHECKING:
    from importer.fetch.blobs import Blobs
    from layers.chunks import Chunks, OpenChunks
    from layers.storage.image import Image, ImageLayer

IMAGE_REFERENCES = "release-manifests/image-references"


def image_references(blobs: Blobs, image: Image, max_layer_size: int) -> bytes:
    """Return a payload's list of images. Raise LayerError if there is none."""
    file = image_file(blobs, image, IMAGE_REFERENCES, max_layer_size)
    if file is None:
        raise LayerError(
            f"the image has no {IMAGE_REFERENCES}, so it is no release payload",
            hint="references of images to import go into a file, one a line; a file in an image"
            " is written REF!/PATH",
        )
    return file


def image_file(blobs: Blobs, image: Image, path: str, max_layer_size: int) -> bytes | None:
    """Return a file of at most 4 MiB, None if there is none. Symlinks are not followed.

    Layers are read from the top until one has the file or hides it. Each layer is read to its
    end and both its digests are compared before its content is used.
    """
    wanted = components(path.encode())
    for layer in reversed(image.layers):
        look = partial(_file_in, blobs, image.source, layer, wanted, max_layer_size)
        decides, content = blobs.retrying(look)
        if decides:
            return content
    return None


def _file_in(
    blobs: Blobs, source: str, layer: ImageLayer, path: Path, max_size: int
) -> tuple[bool, bytes | None]:
    """Look for a file in a layer's blob, as `file_in_layer` does. The blob is fetched again for the
    target of a hard link."""
    with ExitStack() as opened:
        tars: list[OpenChunks] = []

        def tar() -> Chunks:
            tars.append(opened.enter_context(closing(_tar(blobs, source, layer, max_size))))
            return tars[-1]

        try:
            return file_in_layer(tar, path)
        except LayerError as error:
            drain(tars[-1])  # an error of the blob itself comes first
            raise error.within(digest=str(layer.blob.digest)) from None


def _tar(blobs: Blobs, source: str, layer: ImageLayer, max_size: int) -> OpenChunks:
    """Yield a layer's tar. Raise LayerError at the end if it or its blob has another digest."""
    with closing(blobs.stream(source, layer.available)) as blob:
        try:
            chunks = decompressed(blob, layer.available.media_type, layer.available_compression)
            yield from DiffID(chunks, layer.diff_id, max_size)
        except LayerError as error:
            drain(blob)
            raise error.within(digest=str(layer.blob.digest)) from None
        drain(blob)
