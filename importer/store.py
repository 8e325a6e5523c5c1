"""The containers-storage tree of some images, grafted from their layers' commits."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from importer.layer import LayerCommit, record_name
from layers.chain import link_name
from layers.entry import Owner
from layers.image import Image, ImageLayer, stored_images
from layers.storage import StoredImage, StoredLayer, big_data_file, images_json, layers_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.repo import Repo, RepoDirectory, Tree
    from layers.digest import Digest

# Readable for all, though podman makes its own store 0700: a store that others are to use
# as an additional one must be, and a rootless podman is one of them.
_DIRECTORY = Owner(0o755, 0, 0)
_FILE = Owner(0o644, 0, 0)
_LINK = Owner(0o777, 0, 0)


def store_tree(
    repo: Repo, images: Iterable[Image], layers: Mapping[str, LayerCommit], prefix: str
) -> Tree:
    """A root with the store of these images at `prefix`; to be called within a transaction.

    `layers` has the commit of every layer id. The order of the images does not matter.
    """
    images = list(images)
    root = tree = repo.tree(_DIRECTORY)
    for name in PurePosixPath(prefix).relative_to("/").parts:
        tree = tree.directory(name, _DIRECTORY)
    stored = _stored_layers(images, layers)
    _overlay(repo, tree.directory("overlay", _DIRECTORY), stored, layers)
    _overlay_layers(repo, tree.directory("overlay-layers", _DIRECTORY), stored, layers)
    _overlay_images(repo, tree.directory("overlay-images", _DIRECTORY), stored_images(images))
    return root


def _stored_layers(images: Iterable[Image], layers: Mapping[str, LayerCommit]) -> list[StoredLayer]:
    """A record a layer id. Where images pack the same layer in several ways, the blob with
    the smallest digest is named, so that the order of the images makes no difference."""
    chosen: dict[str, ImageLayer] = {}
    for layer in (layer for image in images for layer in image.layers):
        present = chosen.setdefault(layer.id, layer)
        if layer.blob.digest < present.blob.digest:
            chosen[layer.id] = layer
    return [
        StoredLayer(
            layer.id,
            layer.parents,
            layer.diff_id,
            layers[layer.id].diff_size,
            layer.blob.digest,
            layer.blob.size,
            layer.compression,
            layers[layer.id].uids,
            layers[layer.id].gids,
        )
        for layer in chosen.values()
    ]


def _overlay(
    repo: Repo, tree: Tree, stored: list[StoredLayer], layers: Mapping[str, LayerCommit]
) -> None:
    links = tree.directory("l", _DIRECTORY)
    for layer in stored:
        directory = tree.directory(layer.id, _DIRECTORY)
        directory.graft("diff", layers[layer.id].commit)
        directory.file("link", repo.write_file(_FILE, layer.link()))
        if layer.parents:
            directory.file("lower", repo.write_file(_FILE, layer.lower()))
        target = f"../{layer.id}/diff"
        links.file(link_name(layer.id), repo.write_symlink(_LINK, target))


def _overlay_layers(
    repo: Repo, tree: Tree, stored: list[StoredLayer], layers: Mapping[str, LayerCommit]
) -> None:
    tree.file("layers.json", repo.write_file(_FILE, layers_json(stored)))
    # Without a lock file that it can open for reading, podman fails on a read-only store.
    tree.file("layers.lock", repo.write_file(_FILE, b""))
    for layer in stored:
        record = layers[layer.id].record
        if record is not None:
            tree.file(record_name(layer.id), record)


def _overlay_images(repo: Repo, tree: Tree, images: list[StoredImage]) -> None:
    tree.file("images.json", repo.write_file(_FILE, images_json(images)))
    tree.file("images.lock", repo.write_file(_FILE, b""))
    for image in images:
        directory = tree.directory(image.id, _DIRECTORY)
        for name, data in image.files().items():
            directory.file(name, repo.write_file(_FILE, data))


class StoredDocuments:
    """The manifests and configs that some stores' records hold; see `resolve.Documents`."""

    def __init__(self) -> None:
        self._images: list[RepoDirectory] = []

    def add(self, root: RepoDirectory, prefix: str) -> None:
        """Look into the store at `prefix` below this root, if there is one."""
        images = root.find(f"{prefix.strip('/')}/overlay-images")
        if images is not None:
            self._images.extend(images.directories.values())

    def find(self, digest: Digest) -> bytes | None:
        """The document with this digest. What the repo holds is verified like all else."""
        for key in (f"manifest-{digest}", str(digest)):
            for image in self._images:
                data = image.read(big_data_file(key))
                if data is not None:
                    return digest.check(data, "the record in the store")
        return None
