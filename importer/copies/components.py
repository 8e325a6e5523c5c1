"""Mark the files of each layer as a component, for tools that divide an image into layers anew.

chunkah (src/components/xattr.rs, August 2026) and `rpm-ostree compose build-chunked-oci`
(rust/src/container.rs, June 2026) read `user.component`: a file or directory belongs to the
component of its own xattr, or else of the nearest directory above that has one. chunkah reads
`user.update-interval` as well, in days, of any file or directory with the component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import is_blob
from importer.cache.layer import record_name
from importer.store.artifact_files import blob_checksums
from layers.digest import Digest
from layers.path import components
from layers.storage.artifact import blob_path
from layers.storage.mounted import blocker_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.store.reader import StoreView
    from layers.entry import Owner, Xattrs
    from layers.path import Path

_NAME, _INTERVAL = b"user.component", b"user.update-interval"


class Components:
    """The components of a store: a layer's directory, blocker and tar-split record are one; and so
    is each blob of an artifact.

    `days` is how often layers change, as chunkah takes it; None makes no components.
    """

    def __init__(self, store: StoreView, days: int | None) -> None:
        self._xattrs: Mapping[Path, Xattrs] = {}
        if days is not None:
            self._xattrs = {
                path: (
                    (_NAME, b"container-layer-" + layer.encode()),
                    (_INTERVAL, b"%d" % days),
                )
                for layer in (*store.layers, *blob_checksums(store.root))
                for path in _places(layer)
            }

    def marked(self, owner: Owner, path: Path) -> Owner:
        """Return the owner of a path in the store, with the xattrs of a component that begins
        there."""
        added = self._xattrs.get(path, ())
        return owner._replace(xattrs=tuple(sorted({*owner.xattrs, *added}))) if added else owner


def _places(layer: str) -> tuple[Path, ...]:
    if is_blob(layer):
        return (components(blob_path(Digest.parse(layer)).encode()),)
    return (
        (b"overlay", layer.encode()),
        (b"overlay", blocker_of(layer).id.encode()),
        (b"overlay-layers", record_name(layer).encode()),
    )
