"""Write the containers-storage tree of some images, grafted from their layers' commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import LayerCommit, record_name
from importer.errors import ImporterError, layer_faults
from importer.store.artifact_files import artifact_entries
from importer.store.layers import IMAGES, LAYERS, PARTS, remove_layer
from layers.document import MAX_RECORDS_SIZE
from layers.entry import Owner, labelled_owner
from layers.storage.image import Image, ImageLayer, stored_images
from layers.storage.image_record import any_images
from layers.storage.layer_id import StoreForm
from layers.storage.layer_record import StoredLayer
from layers.storage.merge_records import recorded_ids, store_union
from layers.storage.mounted import blocker_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory, StoredTree, SystemDirectory
    from importer.repo.writer import Repo
    from importer.store.layers import LayerNames
    from layers.storage.image_record import StoredImage
    from layers.storage.merge_records import StoreUnion
    from layers.storage.mounted import MountedTree

# Readable for all, though podman makes its own store 0700: a store that others are to use
# as an additional one must be, and a rootless podman is one of them.
DIRECTORY = Owner(0o755, 0, 0)
FILE = Owner(0o644, 0, 0)
LINK = Owner(0o777, 0, 0)
_REPLACE = "--existing-store=replace puts a new store in its place"


class StoreTree:
    """Puts a store into a directory, within a transaction.

    `names` are the layers' ids and links in the store. `present` is the directory's own store that
    stays, with its layers unchanged. All added files get the SELinux label.
    """

    def __init__(
        self,
        repo: Repo,
        tree: Tree,
        names: LayerNames,
        label: str | None,
        present: RepoDirectory | None,
    ) -> None:
        self._repo = repo
        self._tree = tree
        self._names = names
        self._present = present
        self._directory = labelled_owner(DIRECTORY, label)
        self._file = labelled_owner(FILE, label)
        self._link = labelled_owner(LINK, label)

    def fill(
        self, images: Iterable[Image], layers: Mapping[str, LayerCommit]
    ) -> list[tuple[str, ...]]:
        """Put the images in. Return the names of each image that the store then has.

        `layers` has the commit of each layer by its standard id. The order of the images does
        not matter.
        """
        images = list(images)
        by_store_id = {self._names.ids[layer_id]: layer for layer_id, layer in layers.items()}
        stored = _stored_layers(images, layers, self._names)
        records = stored_images(images, self._names.ids)
        with reading_present():
            union = _union(self._present, stored, records)
        if self._present is not None:
            for layer_id in union.replaced:
                remove_layer(self._repo, self._tree, self._present, layer_id)
        self._overlay(stored, by_store_id)
        self._overlay_layers(stored, by_store_id, union)
        self._overlay_images(records, union)
        return [image.names for image in any_images(union.images)]

    def _overlay(self, stored: list[StoredLayer], layers: Mapping[str, LayerCommit]) -> None:
        tree, present = self._part("overlay")
        links = self._enter(tree, "l")
        for place, stored_tree, lower in _mounted_trees(stored, layers):
            kept = present.directories.get(place.id.encode()) if present else None
            if kept is not None:
                _check_same(place.id, kept, stored_tree)
            else:
                directory = tree.directory(place.id, self._directory)
                directory.graft("diff", stored_tree)
                self._files(directory, {"link": place.link.encode(), **lower})
            # A kept layer's link may have another name, by which its own children know it.
            links.file(place.link, self._repo.write_symlink(self._link, place.target))

    def _files(self, tree: Tree, files: Mapping[str, bytes]) -> None:
        """Write the files of a layer's directory."""
        for name, content in files.items():
            self._write(tree, name, content)
        if "lower" not in files and self._names.form is StoreForm.NONE:
            # What `podman image diff` mounts below a layer without others (overlay.go, `get`).
            tree.directory("empty", self._directory)

    def _overlay_layers(
        self, stored: list[StoredLayer], layers: Mapping[str, LayerCommit], union: StoreUnion
    ) -> None:
        tree, present = self._part("overlay-layers")
        self._write(tree, "layers.json", union.layers)
        self._lock(tree, present, "layers.lock")
        for layer in stored:
            record, name = layers[layer.id].record, record_name(layer.id)
            if record is not None and not (present and name.encode() in present.leaves):
                tree.file(name, record)

    def _overlay_images(self, images: list[StoredImage], union: StoreUnion) -> None:
        tree, present = self._part("overlay-images")
        self._write(tree, "images.json", union.images)
        self._lock(tree, present, "images.lock")
        for image in images:
            directory = self._enter(tree, image.id)
            for name, data in image.files().items():
                self._write(directory, name, data)

    def _part(self, name: str) -> tuple[Tree, RepoDirectory | None]:
        """Return one of the store's three directories, and the present store's."""
        present = self._present.directories.get(name.encode()) if self._present else None
        return self._enter(self._tree, name), present

    def _enter(self, tree: Tree, name: str) -> Tree:
        return tree.enter(name) or tree.directory(name, self._directory)

    def _lock(self, tree: Tree, present: RepoDirectory | None, name: str) -> None:
        # Without a lock file that it can open for reading, podman fails on a read-only store.
        if not (present and name.encode() in present.leaves):
            self._write(tree, name, b"")

    def _write(self, tree: Tree, name: str, content: bytes) -> None:
        tree.file(name, self._repo.write_file(self._file, content))


def _mounted_trees(
    stored: Iterable[StoredLayer], layers: Mapping[str, LayerCommit]
) -> Iterator[tuple[MountedTree, StoredTree, Mapping[str, bytes]]]:
    """Yield each layer's tree, with the files that list the trees below, and each blocker."""
    for layer in stored:
        yield layer.mounted[0], layers[layer.id].tree, layer.lower_files()
        if (blocker := layers[layer.id].blocker) is not None:
            yield blocker_of(layer.id), blocker, {}


def _check_same(layer_id: str, present: RepoDirectory, tree: StoredTree) -> None:
    """Raise ImporterError if the store has other files, or other labels, under a layer's id."""
    diff = present.directories.get(b"diff")
    if diff is None or (diff.contents, diff.meta) != (tree.contents, tree.meta):
        raise ImporterError(
            f"the existing store has layer {layer_id} with other files, or labels, than ours",
            hint=_REPLACE,
        )


def reading_present() -> AbstractContextManager[None]:
    """Turn a LayerError of the base's records into an ImporterError."""
    return layer_faults("the base's store", _REPLACE)


def has_records(store: SystemDirectory) -> bool:
    """Return whether a directory is a store with an image, a layer or an artifact.

    Distributions' packages bring empty stores.
    """
    overlay = store.directories.get(b"overlay")
    if overlay is not None and any(b"diff" in d.directories for d in overlay.directories.values()):
        return True
    with reading_present():
        if artifact_entries(store):
            return True
        files = {path: store.read(path, MAX_RECORDS_SIZE) for path in (LAYERS, IMAGES)}
        return any(recorded_ids(raw, path.partition("/")[2]) for path, raw in files.items())


def check_records(store: RepoDirectory) -> None:
    """Raise ImporterError if the store's records cannot be merged with those of images."""
    with reading_present():
        artifact_entries(store)
        _union(store, [], [])


def _union(
    store: RepoDirectory | None, layers: list[StoredLayer], images: list[StoredImage]
) -> StoreUnion:
    before = [store.read(path, MAX_RECORDS_SIZE) if store else None for path in (LAYERS, IMAGES)]
    return store_union(before[0], before[1], layers, images)


def remove_store(tree: Tree, but: str = "") -> None:
    """Take a store, `but` one part, out of its directory, and nothing else that is in there."""
    for name in PARTS:
        if name != but:
            tree.remove(name)


def _stored_layers(
    images: Iterable[Image], layers: Mapping[str, LayerCommit], names: LayerNames
) -> list[StoredLayer]:
    """Return one record for each layer id.

    Where images compress the same layer in several ways, the record names the blob with the
    smallest digest: the order of the images makes no difference.
    """
    chosen: dict[str, ImageLayer] = {}
    for layer in (layer for image in images for layer in image.layers):
        present = chosen.setdefault(layer.id, layer)
        if layer.blob.digest < present.blob.digest:
            chosen[layer.id] = layer
    return [
        StoredLayer(
            names.ids[layer.id],
            tuple(names.ids[parent] for parent in layer.parents),
            layer.diff_id,
            layers[layer.id].diff_size,
            layer.blob.digest,
            layer.blob.size,
            layer.compression,
            layers[layer.id].uids,
            layers[layer.id].gids,
            names.chain(layer),
        )
        for layer in chosen.values()
    ]
