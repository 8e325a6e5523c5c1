"""Read a store's layers for packing; refuse a store with whiteouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.errors import printable
from layers.path import Path, joined
from layers.storage.layer_record import chain
from layers.storage.packing import PackedLayer
from layers.whiteout import is_whiteout, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.storage.layer_record import LayerRecord

# Bytes of one file's headers in a tar: a header, and an extended header for a long path.
_HEADERS = 3 * 512
_HINT = "no container image can carry a store's whiteouts: import the images with --whiteouts=none"


@dataclass(frozen=True, slots=True)
class StoreLayers:
    """The layers of a store, parents first, and the labels of each layer's images."""

    packed: tuple[PackedLayer, ...]
    labels: dict[str, tuple[str, ...]]


def store_layers(repo: Repo, store: StoreView) -> StoreLayers:
    """Return the store's layers. Raise ImporterError if one has a whiteout."""
    users: dict[str, list[str]] = {one: [] for one in store.layers}
    labels: dict[str, list[str]] = {one: [] for one in store.layers}
    for image in sorted(store.images, key=lambda one: (one.full_label, one.id)):
        for layer in image.layers:
            users[layer.id].append(image.id)
            labels[layer.id].append(image.short_label)
    files = {one: _files(repo, store, one) for one in store.layers}
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
    return StoreLayers(packed, {one: tuple(found) for one, found in labels.items()})


@dataclass(slots=True)
class _StoreFiles:
    """The files of a layer: the bytes of each object, and about how many the tar has."""

    objects: dict[str, int]
    size: int = 0


def _files(repo: Repo, store: StoreView, layer_id: str) -> _StoreFiles:
    """Return a layer's files. Raise ImporterError for a whiteout."""
    found = _StoreFiles({})
    for path, checksum in _leaves(store.diff(layer_id)):
        if unquoted(path[-1]) is not None or is_whiteout(path[-1]):
            raise ImporterError(
                f"branch {store.branch}: layer {layer_id[:12]} has the whiteout"
                f" {printable(joined(path))}",
                hint=_HINT,
            )
        found.size += _HEADERS
        if checksum and checksum not in found.objects:  # else the tar has a hard link
            found.objects[checksum] = repo.file_size(checksum)
            found.size += found.objects[checksum]
    return found


def _repeats(
    store: StoreView, layer: LayerRecord, files: Mapping[str, _StoreFiles]
) -> dict[str, int]:
    """Return the bytes that a layer has in common with each layer below whose files it holds."""
    if not store.is_cut(layer) and store.blocker(layer) is None:
        return {}
    own = files[layer.id].objects
    return {
        below.id: sum(size for one, size in files[below.id].objects.items() if one in own)
        for below in chain(store.layers, layer.parent)
    }


def _leaves(root: RepoDirectory) -> Iterator[tuple[Path, str]]:
    """Yield every file with its checksum, and every directory below the root with ""."""
    work: list[tuple[Path, RepoDirectory]] = [((), root)]
    while work:
        path, directory = work.pop()
        for name, checksum in directory.leaves.items():
            yield (*path, name), checksum
        for name, below in directory.directories.items():
            yield (*path, name), ""
            work.append(((*path, name), below))
