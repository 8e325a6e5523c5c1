"""An image's layers as one, for where whiteouts cannot work; its record stays the original's.

containers-storage shares a layer between images by its id and by its tar's digest. A tree
that stands under an original layer's id or digest, and has other files in it, would thus
be handed silently to every image that has that layer. So a flattened layer goes by what
it is: its digest is that of the tar that its own tree makes, and its id follows from that.
It is a layer like any other then, with branches of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.batch import commit_layer, record_tree
from importer.cache.branches import flattened_branch, layer_branch
from importer.cache.layer import find_layer, numbers
from importer.cache.stack import fill, stacked
from importer.cache.tree_tar import TreeTar
from importer.repo import commit_keys as key
from layers.digest import Digest
from layers.limits import Limits
from layers.oci.manifest import Descriptor
from layers.oci.media_type import TAR_LAYER
from layers.storage.image import FlatImage, Image
from layers.tree.translate import ROOT_OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.cache.layer import LayerCommit
    from importer.repo.tree import Tree
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer
    from layers.tree.lower import Lower

# The exported manifest would list the flattened layers beside a config that lists the
# originals; podman pull, umoci and docker compare the two and refuse such an image.
NO_EXPORT = (
    "a flattened image can be run and built upon, but it cannot be exported:"
    " what podman push or save makes of it, nobody takes"
)


def flattened(repo: Repo, image: Image, limits: Limits) -> Image:
    """Return the image with flattened layers. The branches of its own layers are there already.

    Raise LayerError if the flattened layer breaks the limits: a few bytes with many hard links
    are many files of that size in its tar.
    """
    if not image.layers:
        return image
    return _known(repo, image) or _make(repo, image, limits)


def _known(repo: Repo, image: Image) -> FlatImage | None:
    """Return what an earlier run has made, if all of its layers are still there."""
    head = repo.resolve(flattened_branch(image.layers[-1].id))
    if head is None:
        return None
    facts = repo.commit(head).metadata
    digest = Digest.parse(facts[key.DIFF_ID])
    flat = FlatImage.of(image, Descriptor(TAR_LAYER, digest, int(facts[key.DIFF_SIZE])))
    return flat if all(find_layer(repo, layer.id) for layer in flat.layers) else None


def _make(repo: Repo, image: Image, limits: Limits) -> FlatImage:
    with repo.locked():
        flat = _import_merged(repo, image, limits)
        for layer in flat.layers[:-1]:
            if find_layer(repo, layer.id) is None:
                _import_empty(repo, layer)
        if all(layer.verified for layer in _layers(repo, image)):
            # Cached trees must be what the diffIDs mean, and nothing else.
            with repo.transaction():
                made = repo.head(layer_branch(flat.layers[-1].id))
                repo.set_ref(flattened_branch(image.layers[-1].id), made.checksum)
    return flat


def _layers(repo: Repo, image: Image) -> Iterator[LayerCommit]:
    found = (find_layer(repo, layer.id) for layer in image.layers)
    return (layer for layer in found if layer is not None)


def _import_merged(repo: Repo, image: Image, limits: Limits) -> FlatImage:
    top = image.layers[-1]
    lower = stacked(repo, [top.id, *top.parents])
    with repo.transaction():
        tree, tar = _written(repo, lower, limits)
        flat = FlatImage.of(image, Descriptor(TAR_LAYER, tar.digest, tar.size))
        record = record_tree(repo, flat.layers[-1], tar.record)
    _commit(repo, flat.layers[-1], tree, record, tar)
    return flat


def _import_empty(repo: Repo, layer: ImageLayer) -> None:
    """Import an empty layer: the store needs as many layers as the config lists."""
    with repo.transaction():
        tree, tar = _written(repo, None, Limits())
        record = record_tree(repo, layer, tar.record)
    _commit(repo, layer, tree, record, tar)


def _written(repo: Repo, lower: Lower | None, limits: Limits) -> tuple[Tree, TreeTar]:
    """Write all visible files as one layer's tree. Return it with the tar that it makes."""
    tree = repo.tree(ROOT_OWNER)
    fill(tree, lower)
    return tree, TreeTar(repo, repo.directory(*tree.write()), limits)


def _commit(repo: Repo, layer: ImageLayer, tree: Tree, record: Tree, tar: TreeTar) -> None:
    none = (key.WHITEOUTS, key.OPAQUE, key.DEVICES, key.STRAY_DEVICES, key.DROPPED_XATTRS)
    ids = {key.UIDS: numbers(tar.uids), key.GIDS: numbers(tar.gids)}
    facts = {key.DIFF_SIZE: tar.size, **dict.fromkeys(none, 0), **ids}
    commit_layer(repo, layer, tree, record, facts)
