"""Read a store's layers for packing; refuse a store with whiteouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.errors import printable
from layers.frozen import frozen
from layers.path import Path, joined
from layers.storage.layer_record import chain
from layers.storage.packing import PackedLayer
from layers.tree.lower import each_directory
from layers.whiteout import is_whiteout, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Set

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.storage.layer_record import LayerRecord

# Bytes of one file's headers in a tar: a header, and an extended header for a long path.
_HEADERS = 3 * 512
_HINT = "no container image can carry a store's whiteouts: import the images with --whiteouts=none"


@frozen
class StoreLayers:
    """The layers of a store, parents first, and the blobs of its artifacts; and the labels of the
    images that have each layer, and of the artifacts that have each blob."""

    packed: tuple[PackedLayer, ...]
    labels: dict[str, list[str]]

    def without(self, ids: Set[str]) -> StoreLayers:
        """Return the layers but these, which the base has."""
        return replace(
            self,
            packed=tuple(
                replace(layer, repeats={i: n for i, n in layer.repeats.items() if i not in ids})
                for layer in self.packed
                if layer.id not in ids
            ),
        )

    def size(self, group: Iterable[str]) -> int:
        """Return about how many bytes a tar of these layers has."""
        sizes = {layer.id: layer.size for layer in self.packed}
        return sum(sizes[layer_id] for layer_id in group)

    def users(self, group: Iterable[str]) -> tuple[str, ...]:
        """Return the labels of the images that have one of these layers."""
        return tuple(dict.fromkeys(label for layer_id in group for label in self.labels[layer_id]))

    def created_by(self, group: tuple[str, ...]) -> str:
        """Return the history entry of an OCI layer that holds these layers."""
        images = self.users(group) or ("",)
        more = f" and {len(images) - 1} more" if len(images) > 1 else ""
        count = f"{len(group)} layers" if len(group) > 1 else "a layer"
        return f"image-store embed: {count} of {images[0]}{more}"


def store_layers(repo: Repo, store: StoreView) -> StoreLayers:
    """Return the store's layers and blobs. Raise ImporterError if one has a whiteout."""
    users: dict[str, list[str]] = {layer_id: [] for layer_id in store.layers}
    labels: dict[str, list[str]] = {layer_id: [] for layer_id in store.layers}
    for image in sorted(store.images, key=lambda image: (image.full_label, image.id)):
        for layer in image.layers:
            users[layer.id].append(image.id)
            labels[layer.id].append(image.short_label)
    files = {layer_id: _files(repo, store, layer_id) for layer_id in store.layers}
    packed = tuple(
        PackedLayer(
            layer.id,
            layer.parent,
            _repeats(store, layer, files),
            files[layer.id].size,
            frozenset(users[layer.id]),
        )
        for layer in store.layers.values()
    )
    return StoreLayers((*packed, *_blobs(store, labels)), labels)


def _blobs(store: StoreView, labels: dict[str, list[str]]) -> list[PackedLayer]:
    """Return the blobs of artifacts, each to be packed as a layer of its own, and add their labels
    by their ids."""
    packed: dict[str, PackedLayer] = {}
    for artifact in store.artifacts:
        for blob in artifact.blobs:
            blob_id = str(blob.digest)
            labels.setdefault(blob_id, []).append(artifact.short_label)
            size = blob.size + _HEADERS
            packed[blob_id] = PackedLayer(blob_id, "", {}, size, frozenset({artifact.id}))
    return list(packed.values())


@dataclass(slots=True)
class _StoreFiles:
    """The files of a layer: the bytes of each object, and about how many the tar has."""

    objects: dict[str, int]
    size: int = 0


def _files(repo: Repo, store: StoreView, layer_id: str) -> _StoreFiles:
    """Return a layer's files. Raise ImporterError for a whiteout."""
    files = _StoreFiles({})
    for path, checksum in _leaves(store.diff(layer_id)):
        if unquoted(path[-1]) is not None or is_whiteout(path[-1]):
            raise ImporterError(
                f"branch {store.branch}: layer {layer_id[:12]} has the whiteout"
                f" {printable(joined(path))}",
                hint=_HINT,
            )
        files.size += _HEADERS
        if checksum and checksum not in files.objects:  # else the tar has a hard link
            files.objects[checksum] = repo.file_size(checksum)
            files.size += files.objects[checksum]
    return files


def _repeats(
    store: StoreView, layer: LayerRecord, files: Mapping[str, _StoreFiles]
) -> dict[str, int]:
    """Return the bytes that a layer has in common with each layer below whose files it holds."""
    if not store.is_cut(layer) and store.blocker(layer) is None:
        return {}
    own = files[layer.id].objects
    return {
        below.id: sum(size for name, size in files[below.id].objects.items() if name in own)
        for below in chain(store.layers, layer.parent)
    }


def leaves_of(root: RepoDirectory) -> Iterator[tuple[Path, str]]:
    """Yield every file and symlink below the root with its checksum."""
    return ((path, checksum) for path, checksum in _leaves(root) if checksum)


def _leaves(root: RepoDirectory) -> Iterator[tuple[Path, str]]:
    """Yield every file with its checksum, and every directory below the root with ""."""
    for path, directory in each_directory(root):
        if path:
            yield path, ""
        for name, checksum in directory.leaves.items():
            yield (*path, name), checksum
