"""The list of a release's images, out of its payload image; nothing else is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.chunks import DiffID, drain
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.release.payload import NAME, References, find_references, topmost

if TYPE_CHECKING:
    from importer.fetch.blobs import Blobs
    from layers.storage.image import Image, ImageLayer


def image_references(blobs: Blobs, image: Image, max_layer_size: int) -> bytes:
    """The file `release-manifests/image-references`; LayerError if the image has none.

    Layers are read from the top until one decides. Each is drained and both its digests
    are compared before what it holds is believed.
    """

    def one(layer: ImageLayer) -> References:
        return blobs.retrying(lambda: _find(blobs, image.source, layer, max_layer_size))

    found = topmost(one(layer) for layer in reversed(image.layers))
    if found is None:
        raise LayerError(
            f"the image has no {NAME}, so it is no release payload",
            hint="references of images to import go into a file, one a line",
        )
    return found


def _find(blobs: Blobs, source: str, layer: ImageLayer, max_size: int) -> References:
    blob = blobs.stream(source, layer.available)
    try:
        chunks = decompressed(blob, layer.available.media_type, layer.available_compression)
        found = find_references(iter(DiffID(chunks, layer.diff_id, max_size)))
        drain(blob)
    except LayerError as error:
        drain(blob)  # where the blob itself is broken, that is the error to tell
        raise error.within(digest=str(layer.blob.digest)) from None
    finally:
        blob.close()
    return found
