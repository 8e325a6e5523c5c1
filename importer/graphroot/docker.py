"""Docker's own store, driver overlay2, read as it lies on disk.

Layout: github.com/moby/moby, image/fs.go, layer/filestore.go, daemon/graphdriver/overlay2.
Docker keeps configs and layers, but no manifests. So we make a manifest for each image; the
image is not found under the digest that its registry has for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.graphroot.job import Record
from importer.graphroot.source import (
    SourceImage,
    SourceLayer,
    StorePlace,
    documents,
    records,
    stacked,
)
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.errors import LayerError
from layers.oci.config import parse_config, parse_diff_ids
from layers.oci.manifest import Manifest, parse_manifest
from layers.oci.reference import stored_reference
from layers.storage.docker_records import chain_ids, manifest_for, parse_repositories
from layers.storage.image import Image
from layers.tarsplit.record_reader import tar_size

if TYPE_CHECKING:
    from importer.files.foreign import ForeignDirectory
    from importer.progress import Progress

_ID_LENGTH = 64
_SIZE_DIGITS = 20  # of a number that 64 bits hold
_LINE = 4096  # bytes
DOCKER_HOME = b"image/overlay2"
# Docker makes this directory when it first runs with the containerd image store; *seen*: 28.5.
_CONTAINERD = b"buildkit/containerd-overlayfs"
THROUGH_DOCKER = (
    "`docker save NAME -o FILE`, then import-image NAME=oci-archive:FILE; this keeps the"
    " image's digest"
)
_CONFIGS = DOCKER_HOME + b"/imagedb/content/sha256"


class Dockerroot:
    def __init__(self, directory: ForeignDirectory, progress: Progress) -> None:
        self._directory = directory
        self._place = StorePlace.of(directory)
        self._progress = progress
        path = DOCKER_HOME + b"/repositories.json"
        raw = directory.read(path, MAX_RECORDS_SIZE)
        with records(directory.full(path)):
            self._names = parse_repositories(raw) if raw else {}
        if directory.is_there(_CONTAINERD):
            progress.message(
                "Docker has used the containerd image store too; the images there are left out. For"
                f" each: {THROUGH_DOCKER}"
            )

    def images(self) -> list[SourceImage]:
        """Return the images of the imagedb, including those without a name."""
        with self._directory.directory(_CONFIGS) as folder:
            ids = [os.fsdecode(name) for name in folder.names() if len(name) == _ID_LENGTH]
        return [self._image(Digest.parse(f"sha256:{name}")) for name in ids]

    def load(self, image: SourceImage) -> Image:
        """Return an image from its config. Raise LayerError if the config does not have its
        digest, or is malformed."""
        digest = Digest("sha256", image.id)
        with documents(str(image)):
            raw = digest.check(self._config(digest), "the config")
            pairs = zip(parse_diff_ids(raw), image.layers or (), strict=True)
            layers = [(diff_id, self._tar_size(layer)) for diff_id, layer in pairs]
            manifest = parse_manifest(manifest_for(raw, layers))
            assert isinstance(manifest, Manifest)  # noqa: S101 - it was made so in the line above
            names = tuple(name for name in image.names if "@" not in name)
            for name in sorted(set(image.names) - set(names)):
                self._progress.message(f"{name}: not kept, since Docker keeps no manifests")
            return Image(
                stored_reference(names, f"docker-daemon:sha256:{image.id}"),
                os.fsdecode(self._directory.path),
                manifest,
                parse_config(raw, manifest),
                kept_names=names,
            )

    def _image(self, digest: Digest) -> SourceImage:
        names = self._names.get(digest, ())
        try:
            chain = chain_ids(parse_diff_ids(self._config(digest)))
        except LayerError as error:
            # A damaged image does not stop the import of the others.
            self._progress.message(f"{names[0] if names else digest.hex[:12]}: {error}")
            return SourceImage(digest.hex, names, (), None)
        layers = [layer for chain_id in chain if (layer := self._layer(chain_id)) is not None]
        complete = len(layers) == len(chain)
        return SourceImage(digest.hex, names, (), stacked(layers) if complete else None)

    def _config(self, image: Digest) -> bytes:
        path = _CONFIGS + b"/" + image.hex.encode()
        data = self._directory.read(path, MAX_DOCUMENT_SIZE)
        if data is None:
            raise ImporterError(f"{self._directory.shown(path)} is missing")
        return data

    def _layer(self, chain_id: Digest) -> SourceLayer | None:
        """Return a layer, None if the store does not have its directory."""
        home = b"%b/layerdb/%b/%b" % (
            DOCKER_HOME,
            chain_id.algorithm.encode(),
            chain_id.hex.encode(),
        )
        cache = self._line(home + b"/cache-id")
        directory = b"overlay2/" + cache + b"/diff"
        if not cache.isalnum() or not self._directory.is_there(directory):
            return None
        record = home + b"/tar-split.json.gz"
        size = self._line(home + b"/size")
        kept = record if self._directory.is_there(record) else None
        bytes_of_tar = int(size) if size.isdigit() and len(size) < _SIZE_DIGITS else 0
        return SourceLayer(self._place, directory, kept, bytes_of_tar)

    def _line(self, path: bytes) -> bytes:
        """Return the only line of a file, b"" if there is no such file."""
        return (self._directory.read(path, _LINE) or b"").strip()

    def _tar_size(self, layer: SourceLayer) -> int:
        """Return the tar's size in bytes. Without a tar-split record, return the total size of
        the layer's files, which Docker keeps."""
        if layer.record is None:
            return layer.size
        with Record(self._directory, layer.record).parts() as parts:
            return tar_size(parts)
