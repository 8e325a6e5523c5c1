"""Merge an image's layers into a single one, for stores where whiteouts cannot work.

containers-storage shares a layer between images by its id and by its tar's digest. A merged tree
under the original layer's id or digest would be handed silently to every image that has that layer.
So a flattened layer has the digest of the tar that its own tree makes, and the id that follows from
this digest. Like any other layer, it has branches of its own. The image's record stays the
original one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.batch import ClosedLayer, commit_layer, record_tree
from importer.cache.branches import flattened_branch, layer_branch
from importer.cache.layer import find_layer, numbers
from importer.cache.stack import fill, stacked
from importer.cache.tree_tar import ReadTree
from importer.repo import commit_keys as key
from importer.workers.tasks import Tasks, processes
from layers.digest import Digest
from layers.errors import within
from layers.frozen import frozen
from layers.limits import Limits
from layers.oci.manifest import Descriptor
from layers.oci.media_type import TAR_LAYER
from layers.ostree.objects import Stored
from layers.storage.image import FlatImage, Image
from layers.tree.translate import ROOT_OWNER

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from importer.cache.layer import LayerCommit
    from importer.cache.tree_tar import Tar
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer

# The exported manifest would list the flattened layers, and the config the original ones; podman
# pull, umoci and docker compare the two and refuse such an image.
NO_EXPORT = (
    "a flattened image can be run and built upon, but it cannot be exported:"
    " what podman push or save makes of it, nobody takes"
)


@frozen
class Flattened:
    """An image with flattened layers.

    `size` is the bytes of its tars, 0 if an earlier image of the call has the same layers.
    `entries` is the number of entries of the tars that were made for this image, 0 if there were
    none to make.
    """

    image: Image
    size: int = 0
    entries: int = 0


def flattened(
    repo: Repo, images: Sequence[Image], limits: Limits, jobs: int
) -> Generator[Flattened]:
    """Yield the images with flattened layers, in order. The generator holds the repo's lock until
    it is closed. The branches of the images' own layers are there already.

    At most `jobs` processes read the merged trees. Raise LayerError if a flattened layer breaks
    the limits: a few bytes with many hard links are many files of that size in its tar.
    """
    tops = {image.layers[-1].id: image for image in reversed(images) if image.layers}
    merged = {top: _kept(repo, image) for top, image in reversed(tops.items())}
    missing = [tops[top] for top, blob in merged.items() if blob is None]
    with repo.locked():
        trees = _write_trees(repo, missing)
        count = processes(jobs, (_size(repo, image) for image in missing))
        with Tasks(count, ReadTree.__module__) as tasks:
            tars = tasks.ordered(ReadTree(repo.path, tree, limits) for tree in trees)
            made = zip(trees, tars, strict=True)
            new = set(merged)
            for image in images:
                top = image.layers[-1].id if image.layers else None
                if top is None:
                    yield Flattened(image)
                    continue
                blob, entries = merged[top], 0
                if blob is None:
                    tree, tar = next(made)
                    blob, entries = _import(repo, image, tree, tar), tar.entries
                    merged[top] = blob
                flat = FlatImage.of(image, blob)
                yield Flattened(flat, _tar_size(flat) if top in new else 0, entries)
                new.discard(top)


def _tar_size(image: Image) -> int:
    return sum(layer.blob.size for layer in image.layers)


def _kept(repo: Repo, image: Image) -> Descriptor | None:
    """Return the top layer that an earlier run has made, if all of its layers are still there."""
    head = repo.find_head(flattened_branch(image.layers[-1].id))
    if head is None:
        return None
    facts = head.metadata
    digest = Digest.parse(facts[key.DIFF_ID])
    blob = Descriptor(TAR_LAYER, digest, int(facts[key.DIFF_SIZE]))
    layers = FlatImage.of(image, blob).layers
    return blob if all(find_layer(repo, layer.id) for layer in layers) else None


def _write_trees(repo: Repo, images: Sequence[Image]) -> list[Stored]:
    """Write all visible files of each image as one layer's tree, for other processes to read.

    Raise LayerError, with the image, for a directory that is too large for ostree.
    """
    trees: list[Stored] = []
    if not images:
        return trees
    with repo.transaction():
        for image in images:
            tree, top = repo.tree(ROOT_OWNER), image.layers[-1]
            with within(digest=f"{image.reference}, flattened"):
                fill(tree, stacked(repo, [top.id, *top.parents]))
            trees.append(Stored(*tree.write()))
    return trees


def _size(repo: Repo, image: Image) -> int:
    return sum(layer.diff_size for layer in _layers(repo, image))


def _layers(repo: Repo, image: Image) -> Iterator[LayerCommit]:
    layers = (find_layer(repo, layer.id) for layer in image.layers)
    return (layer for layer in layers if layer is not None)


def _import(repo: Repo, image: Image, merged: Stored, tar: Tar) -> Descriptor:
    """Commit the flattened layers of an image, whose merged tree makes this tar. Return the
    top layer's blob."""
    blob = Descriptor(TAR_LAYER, tar.digest, tar.size)
    layers = FlatImage.of(image, blob).layers
    _import_layer(repo, layers[-1], merged, tar)
    for layer in layers[:-1]:
        if find_layer(repo, layer.id) is None:
            _import_empty(repo, layer)
    if all(layer.verified for layer in _layers(repo, image)):
        # Cached trees must be what the diffIDs mean, and nothing else.
        with repo.transaction():
            made = repo.head(layer_branch(layers[-1].id))
            repo.set_ref(flattened_branch(image.layers[-1].id), made.checksum)
    return blob


def _import_empty(repo: Repo, layer: ImageLayer) -> None:
    """Import an empty layer: the store needs as many layers as the config lists."""
    with repo.transaction():
        empty = Stored(*repo.tree(ROOT_OWNER).write())
    _import_layer(repo, layer, empty, ReadTree(repo.path, empty, Limits()).run())


def _import_layer(repo: Repo, layer: ImageLayer, stored: Stored, tar: Tar) -> None:
    none = (key.WHITEOUTS, key.OPAQUE, key.DEVICES, key.STRAY_DEVICES, key.DROPPED_XATTRS)
    ids = {key.UIDS: numbers(tar.uids), key.GIDS: numbers(tar.gids)}
    facts = {key.DIFF_SIZE: tar.size, **dict.fromkeys(none, 0), **ids}
    with repo.transaction():
        record = record_tree(repo, layer, tar.record)
    with repo.transaction():
        commit_layer(repo, layer, ClosedLayer(repo.directory(*stored), record, facts))
