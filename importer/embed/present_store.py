"""The store that the base image has already: images are added to it, or it is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from importer.commit.contents import kept_store
from importer.commit.target import ExistingStore
from importer.embed.layer_tar import PackedFile
from importer.errors import ImporterError
from importer.store.artifact_files import artifact_entries, blob_checksums
from importer.store.layers import IMAGES, LAYERS, PARTS
from importer.store.writer import has_records, reading_present
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.entry import Owner
from layers.frozen import frozen
from layers.path import Path, components, joined
from layers.storage.artifact import ARTIFACTS, INDEX, blob_path, index_of, merged_entries
from layers.storage.image_record import any_images
from layers.storage.layer_record import any_layers
from layers.storage.merge_records import record_union
from layers.storage.mounted import blocker_of
from layers.whiteout import WHITEOUT_PREFIX
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.embed.base_image import BaseImage
    from importer.repo.values import RepoDirectory, SystemDirectory
    from importer.store.reader import StoreView
    from layers.storage.layer_record import LayerRecord

_FILE = Owner(0o644, 0, 0)
_REPLACE = "--existing-store=replace puts the branch's store in its place"


@frozen
class PresentStore:
    """The effect of an embedding on the store in the base image.

    `layers`: ids of the branch's layers and blobs that the base has, and that are not written
    again.
    `files`: the merged records by their paths in the image. `removed`: whiteouts of a store that is
    replaced. `names`: the names of each image in the new store. `artifacts`: whether it has any.
    """

    layers: frozenset[str]
    files: dict[Path, PackedFile]
    removed: dict[Path, PackedFile]
    names: Sequence[tuple[str, ...]]
    artifacts: bool

    def told(self, store: StoreView) -> list[str]:
        """Return the lines for the user on a store that stays."""
        if not self.files:
            return []
        there = several(len(self.layers & store.layers.keys()), "layer")
        return [f"the base image's store stays; it has {there} of the branch's {len(store.layers)}"]


def watched_size(store: StoreView, path: Path) -> int | None:
    """Return how much of a file of the base decides about the store, in bytes; None for a path that
    does not matter."""
    prefix = components(store.prefix.encode())
    size = len(prefix)
    if path[:size] != prefix[: len(path)]:
        return None
    below = path[size:]
    if joined(below) in (LAYERS.encode(), IMAGES.encode(), INDEX.encode()):
        return MAX_RECORDS_SIZE
    if len(below) == 3 and below[0] == b"overlay":
        return MAX_DOCUMENT_SIZE
    if below[:1] == (ARTIFACTS.encode(),):
        return 0
    return 0 if len(below) <= 2 else None


def present_store(existing: ExistingStore, store: StoreView, base: BaseImage) -> PresentStore:
    """Merge, replace or refuse the base's store at the prefix of the branch's.

    Raise ImporterError if the base has a store, and `existing` does not say what to do, or if the
    two cannot be merged.
    """
    before = base.tree.before(store.prefix)
    kept = kept_store(existing, before, base.tree.name, store.prefix)
    if kept is not None:
        return _merged(store, kept)
    own = [image.names for image in store.images], bool(store.artifacts)
    if before is None or not has_records(before):
        return PresentStore(frozenset(), {}, {}, *own)
    prefix = components(store.prefix.encode())
    removed = {
        (*prefix, WHITEOUT_PREFIX + part.encode()): PackedFile(_FILE)
        for part in PARTS
        if part.encode() in before.directories
    }
    return PresentStore(frozenset(), {}, removed, *own)


def _merged(store: StoreView, present: SystemDirectory) -> PresentStore:
    layers, images = (present.read(path, MAX_RECORDS_SIZE) for path in (LAYERS, IMAGES))
    added = [image.record.document for image in store.images]
    with reading_present():
        own = [layer.document for layer in store.layers.values()]
        union = record_union(layers, images, own, added)
        recorded = any_layers(union.layers)
        entries = [artifact.entry for artifact in store.artifacts]
        entries = merged_entries(artifact_entries(present), entries)
    if union.replaced:
        raise ImporterError(
            "an image of the base's store has other layers than in the branch: one of the two is"
            " flattened, or of another form",
            hint=_REPLACE,
        )
    prefix = components(store.prefix.encode())
    files = {LAYERS: union.layers, IMAGES: union.images}
    if store.artifacts:
        files[INDEX] = index_of(entries)
    return PresentStore(
        frozenset((*_shared(store, present, recorded), *_shared_blobs(store, present))),
        {
            (*prefix, *components(path.encode())): PackedFile(_FILE, content)
            for path, content in files.items()
        },
        {},
        [image.names for image in any_images(union.images)],
        bool(entries),
    )


def _shared(
    store: StoreView, present: SystemDirectory, recorded: dict[str, LayerRecord]
) -> Iterator[str]:
    """Yield the ids of the branch's layers that the base's store has, with the same links and
    parents. Raise ImporterError for a layer that differs, or that is there in part."""
    links = present.find("overlay/l")
    for layer in store.layers.values():
        names = (layer.id, blocker_of(layer.id).id)
        ours = [(name, tree) for name in names if (tree := store.root.find(f"overlay/{name}"))]
        theirs = [present.find(f"overlay/{name}") for name, _ in ours]
        taken = (links is not None and tree.read("link") in links.leaves for _, tree in ours)
        if not any(theirs) and not any(taken):
            continue
        is_same = (
            all(_same(tree, there) for (_, tree), there in zip(ours, theirs, strict=True))
            and recorded[layer.id].diff == layer.diff
            and (not _has_split(store.root, layer.id) or _has_split(present, layer.id))
        )
        if not is_same:
            raise ImporterError(
                f"the base's store has layer {layer.id[:12]} in part, or with other links than"
                " ours",
                hint=_REPLACE,
            )
        yield layer.id


def _shared_blobs(store: StoreView, present: SystemDirectory) -> Iterator[str]:
    """Yield the ids of the blobs that the base's store has, too."""
    for digest in blob_checksums(store.root):
        if present.leaf(blob_path(Digest.parse(digest))) is not None:
            yield digest


def _same(ours: RepoDirectory, theirs: SystemDirectory | None) -> bool:
    """Return whether both have a layer's tree, and the same files beside it."""
    return (
        theirs is not None
        and b"diff" in theirs.directories
        and all(theirs.read(name.decode()) == ours.read(name.decode()) for name in ours.leaves)
    )


def _has_split(store: SystemDirectory, layer_id: str) -> bool:
    return store.leaf(f"overlay-layers/{record_name(layer_id)}") is not None
