"""Write one layer of the new image into a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.progress import counted
from layers.chunks import Hashed
from layers.compress.compress import BlobCompression, compressed
from layers.errors import printable
from layers.frozen import frozen
from layers.oci.derive import NewLayer
from layers.oci.manifest import Descriptor
from layers.words import first_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.embed.layer_tar import EmbeddedTar, Source
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from layers.path import Path

# composefs-rs, CONTAINER_XATTR_ALLOWLIST: the only xattr that it keeps, unless it is told to (bootc
# 1.16 does not).
_CAPABILITY = b"security.capability"


@frozen
class PlannedLayer:
    """A layer to write, and its members.

    `store_layers` are the ids of the store's layers in it, `images` the labels of their images.
    `created_by` is for its history entry, `name` for the progress. `size` is about the bytes of
    the tar.
    """

    members: Mapping[Path, Source]
    store_layers: tuple[str, ...]
    images: tuple[str, ...]
    created_by: str
    name: str
    size: int


@frozen
class WrittenLayer:
    """A layer in the layout. `tar_size` is in bytes. `xattrs` and `unusual` are `EmbeddedTar`'s."""

    planned: PlannedLayer
    layer: NewLayer
    tar_size: int
    xattrs: frozenset[bytes]
    unusual: tuple[bytes, ...]

    def document(self) -> dict[str, object]:
        """Return the keys for JSON."""
        return {
            "digest": self.layer.blob.digest,  # the blob's digest
            "diff_id": self.layer.diff_id,  # the uncompressed tar's digest
            "size": self.layer.blob.size,  # size of the blob
            "tar_size": self.tar_size,  # size of the uncompressed tar
            # the ids of the store's layers that are in it
            "store_layers": self.planned.store_layers,
            "images": self.planned.images,  # short names of their images
        }


def write_layer(
    planned: PlannedLayer,
    tar: EmbeddedTar,
    layout: Layout,
    compression: BlobCompression,
    progress: Progress,
) -> WrittenLayer:
    """Write a store's layer into the layout. Called from several threads."""
    with progress.blob(planned.name, planned.size) as advance:
        hashed = Hashed(counted(tar.chunks(planned.members), advance))
        layer = write_tar(hashed, planned.created_by, layout, compression)
    return WrittenLayer(planned, layer, hashed.size, frozenset(tar.xattrs), tuple(tar.unusual))


def write_tar(
    tar: Hashed, created_by: str, layout: Layout, compression: BlobCompression
) -> NewLayer:
    """Write a tar, compressed, into the layout."""
    digest, size = layout.add(compressed(iter(tar), compression))
    return NewLayer(Descriptor(compression.media_type, digest, size), tar.digest, created_by)


def tell_xattrs(written: Iterable[WrittenLayer], progress: Progress) -> None:
    """Report the images whose files have xattrs that not every reader of the new image keeps."""
    images: dict[bytes, set[str]] = {}
    for layer in written:
        users = layer.planned.images
        for name in layer.xattrs:
            images.setdefault(name, set()).update(users)
        if layer.unusual:
            progress.message(
                f"{first_of(users)}: an xattr has a newline, which bootc cannot read as podman"
                " does; bootc's ostree backend keeps it, podman and bootc's composefs backend do"
                f" not: {_paths(layer.unusual)}"
            )
    capable = images.pop(_CAPABILITY, set())
    if capable:
        progress.message(
            f"{', '.join(sorted(capable))}: files have capabilities, which bootc before 1.1.3 does"
            " not keep"
        )
    names: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(images):
        names.setdefault(tuple(sorted(images[name])), []).append(printable(name))
    for labels, lost in names.items():
        progress.message(
            f"{', '.join(labels)}: files have xattrs that bootc's composefs backend does not keep:"
            f" {first_of(lost)}"
        )


def _paths(unusual: tuple[bytes, ...]) -> str:
    """Return paths in the store as the images have them."""
    return first_of([printable(b"/" + path.partition(b"/diff/")[2]) for path in unusual])
