"""Docker's own store, driver overlay2, read as it lies on disk.

Layout: github.com/moby/moby, image/fs.go, layer/filestore.go, daemon/graphdriver/overlay2.
It has the configs and the layers. Manifests it does not keep, so an image gets one made for
it, and cannot be reached by the digest that the registry has it under.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.graphroot.files import (
    documents,
    faults,
    is_there,
    names_in,
    opened,
    pieces,
    read_file,
    records,
)
from importer.graphroot.source import SourceImage, SourceLayer, stored_reference
from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.config import parse_config, parse_diff_ids
from layers.oci.manifest import Manifest, parse_manifest
from layers.storage.docker_records import chain_ids, manifest_for, parse_repositories
from layers.storage.image import Image, KeptRecord
from layers.tarsplit.record_reader import segments, tar_size

if TYPE_CHECKING:
    from pathlib import Path

    from importer.progress import Progress

_ID_LENGTH = 64
_SIZE_DIGITS = 20  # of a number that 64 bits hold


class Dockerroot:
    """The store at `path`; a `Source`."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._home = path / "image" / "overlay2"
        self._progress = progress
        path = self._home / "repositories.json"
        raw = read_file(path)
        with records(path):
            self._names = parse_repositories(raw) if raw else {}

    def images(self) -> list[SourceImage]:
        """Those of the imagedb, also those without a name."""
        folder = self._home / "imagedb" / "content" / "sha256"
        ids = [os.fsdecode(name) for name in names_in(folder) if len(name) == _ID_LENGTH]
        return [self._image(Digest.parse(f"sha256:{name}")) for name in ids]

    def load(self, image: SourceImage) -> Image:
        """From its config; LayerError if that is not what it should be."""
        with documents(str(image)):
            return self._load(image)

    def _image(self, digest: Digest) -> SourceImage:
        names = self._names.get(digest, ())
        try:
            chain = chain_ids(parse_diff_ids(self._config(digest)))
        except LayerError as error:
            # The others may be as they should be.
            self._progress.message(f"{names[0] if names else digest.hex[:12]}: {error}")
            return SourceImage(digest.hex, names, (), None)
        layers = [self._layer(chain_id) for chain_id in chain]
        there = [layer for layer in layers if layer is not None and is_there(layer.directory)]
        complete = len(there) == len(layers)
        return SourceImage(digest.hex, names, (), tuple(there) if complete else None)

    def _config(self, image: Digest) -> bytes:
        path = self._home / "imagedb" / "content" / "sha256" / image.hex
        data = read_file(path)
        if data is None:
            raise ImporterError(f"{path} is missing")
        return data

    def _layer(self, chain_id: Digest) -> SourceLayer | None:
        home = self._home / "layerdb" / chain_id.algorithm / chain_id.hex
        cache = (read_file(home / "cache-id") or b"").decode("ascii", "replace").strip()
        if not cache.isalnum():
            return None
        record = home / "tar-split.json.gz"
        size = (read_file(home / "size") or b"").strip()
        return SourceLayer(
            self._path / "overlay2" / cache / "diff",
            record if is_there(record) else None,
            int(size) if size.isdigit() and len(size) < _SIZE_DIGITS else 0,
        )

    def _load(self, image: SourceImage) -> Image:
        digest = Digest("sha256", image.id)
        raw = digest.check(self._config(digest), "the config")
        pairs = zip(parse_diff_ids(raw), image.layers or (), strict=True)
        manifest = parse_manifest(manifest_for(raw, [(d, _tar_size(layer)) for d, layer in pairs]))
        assert isinstance(manifest, Manifest)  # noqa: S101 - it was made so in the line above
        names = tuple(name for name in image.names if "@" not in name)
        self._tell_lost(sorted(set(image.names) - set(names)))
        return Image(
            stored_reference(names, f"docker-daemon:sha256:{image.id}"),
            str(self._path),
            manifest,
            parse_config(raw, manifest),
            kept=KeptRecord(names, ()),
        )

    def _tell_lost(self, names: list[str]) -> None:
        for name in names:
            self._progress.message(f"{name}: not kept, since Docker keeps no manifests")


def _tar_size(layer: SourceLayer) -> int:
    """The tar's; without its record, the size of the files is all that Docker remembers."""
    if layer.record is None:
        return layer.size
    with faults(layer.record):
        return tar_size(segments(pieces(opened(os.fsencode(layer.record)))))
