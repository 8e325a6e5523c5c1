"""Read the list of a release's images from its payload image; nothing else is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.chunks import DiffID, drain
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.release.payload import NAME, ImageReferences, find_references, topmost

if TYPE_CHECKING:
    from importer.fetch.blobs import Blobs
    from layers.storage.image import Image, ImageLayer


def image_references(blobs: Blobs, image: Image, max_layer_size: int) -> bytes:
    """Return the file `release-manifests/image-references`. Raise LayerError if there is none.

    Layers are read from the top until one has the file or hides it. Each layer is read to its
    end and both its digests are compared before its content is used.
    """

    def references_of(layer: ImageLayer) -> ImageReferences:
        return blobs.retrying(lambda: _read(blobs, image.source, layer, max_layer_size))

    file = topmost(references_of(layer) for layer in reversed(image.layers))
    if file is None:
        raise LayerError(
            f"the image has no {NAME}, so it is no release payload",
            hint="references of images to import go into a file, one a line",
        )
    return file


def _read(blobs: Blobs, source: str, layer: ImageLayer, max_size: int) -> ImageReferences:
    blob = blobs.stream(source, layer.available)
    try:
        chunks = decompressed(blob, layer.available.media_type, layer.available_compression)
        references = find_references(iter(DiffID(chunks, layer.diff_id, max_size)))
        drain(blob)
    except LayerError as error:
        drain(blob)  # an error of the blob itself comes first
        raise error.within(digest=str(layer.blob.digest)) from None
    finally:
        blob.close()
    return references
