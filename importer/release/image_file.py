"""Read one file of an image, such as the list in a release's payload; nothing else is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.chunks import DiffID, drain
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.path import Path, components
from layers.release.layer_file import LayerFile, find_file, topmost

if TYPE_CHECKING:
    from importer.fetch.blobs import Blobs
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

    def file_of(layer: ImageLayer) -> LayerFile:
        file = _read(blobs, image.source, layer, wanted, max_layer_size)
        if file.link is None:
            return file
        linked = _read(blobs, image.source, layer, file.link, max_layer_size)
        if linked.content is None:
            raise LayerError(f"{path} is a hard link to no file", digest=str(layer.blob.digest))
        return linked

    return topmost(file_of(layer) for layer in reversed(image.layers))


def _read(
    blobs: Blobs, source: str, layer: ImageLayer, path: Path, max_layer_size: int
) -> LayerFile:
    return blobs.retrying(lambda: _try(blobs, source, layer, path, max_layer_size))


def _try(blobs: Blobs, source: str, layer: ImageLayer, path: Path, max_size: int) -> LayerFile:
    blob = blobs.stream(source, layer.available)
    try:
        chunks = decompressed(blob, layer.available.media_type, layer.available_compression)
        file = find_file(iter(DiffID(chunks, layer.diff_id, max_size)), path)
        drain(blob)
    except LayerError as error:
        drain(blob)  # an error of the blob itself comes first
        raise error.within(digest=str(layer.blob.digest)) from None
    finally:
        blob.close()
    return file
