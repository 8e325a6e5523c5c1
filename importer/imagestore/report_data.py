"""Collect a report's numbers: sizes by image, layer and directory, and what is shared.

All sizes are bytes of file contents. The report is a function of the commit, and of the one that it
is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from importer.imagestore.diff import StoreDiff, store_diff
from importer.imagestore.layer_usage import LayerUsage, Usage
from importer.imagestore.report_space import Space, smallest_of, space_of
from importer.store.reader import NoStoreError, open_store
from layers.oci.config import layer_commands, shown_command

if TYPE_CHECKING:
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView

_MOST_DIRECTORIES = 20


@dataclass(frozen=True, slots=True)
class LayerSpace:
    """A layer of the store: the command that made it, the images that have it, and its
    directories.
    """

    id: str
    standard_id: str
    command: str
    users: tuple[str, ...]
    space: Space

    @property
    def label(self) -> str:
        """Return the command, or the beginning of the id."""
        return self.command or f"layer {self.standard_id[:12]}"


@dataclass(frozen=True, slots=True)
class ImageSpace:
    """An image, with bytes of file contents.

    `shared` is in layers that other images have too. `hidden` is what a layer ships and a layer
    above deletes or replaces. `saved` is what the whole store would shrink by if this image were
    flattened: hidden files that no other image needs.
    """

    image: ImageView
    size: int
    shared: int
    hidden: int
    saved: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """A report of `store`. `diff` is None if there is nothing to compare it with."""

    store: StoreView
    images: tuple[ImageSpace, ...]
    layers: tuple[LayerSpace, ...]
    diff: StoreDiff | None

    @property
    def size(self) -> int:
        """Return the bytes of all layers, each counted once."""
        return sum(layer.space.size for layer in self.layers)

    @property
    def unshared_size(self) -> int:
        """Return the bytes that the images would take if none shared a layer."""
        return sum(image.size for image in self.images)

    def directories(self) -> list[tuple[str, LayerSpace, Space]]:
        """Return the largest directories with their paths.

        A directory is left out if one of its own sub-directories has nearly all of its bytes.
        """
        found = [
            (path, layer, space)
            for layer in self.layers
            for path, space in layer.space.directories()
            if max((child.size for child in space.children if child.children), default=0)
            < 0.9 * space.size
        ]
        found.sort(key=lambda one: (-one[2].size, one[0], one[1].standard_id))
        return found[:_MOST_DIRECTORIES]

    def tree(self) -> dict[str, Any]:
        """Return the data of the picture: the layers, and for each image the indexes of its
        layers.
        """
        places = {layer.id: n for n, layer in enumerate(self.layers)}
        return {
            "layers": [
                {
                    "id": layer.standard_id[:12],
                    "label": layer.label,
                    "users": list(layer.users),
                    "space": layer.space.pruned(smallest_of(layer.space)),
                }
                for layer in self.layers
            ],
            "images": [
                {
                    "label": one.image.short_label,
                    "name": one.image.label,
                    "layers": [places[layer.id] for layer in one.image.layers],
                }
                for one in self.images
            ],
        }


def report_data(repo: Repo, store: StoreView, since: str | None, prefix: str | None) -> ReportData:
    """Return a store's report, compared with `since`, or with its parent if the repo has it."""
    usages = {image.id: _usage(repo, store, image) for image in store.images}
    layers = tuple(_layer(repo, store, layer_id) for layer_id in store.layers)
    images = tuple(_image(repo, store, image, usages) for image in store.images)
    return ReportData(
        store,
        tuple(sorted(images, key=lambda one: (-one.size, one.image.label))),
        tuple(sorted(layers, key=lambda layer: (-layer.space.size, layer.standard_id))),
        _diff(repo, store, since, prefix),
    )


def _diff(repo: Repo, store: StoreView, since: str | None, prefix: str | None) -> StoreDiff | None:
    if since is not None:
        return store_diff(repo, open_store(repo, since, prefix), store)
    parent = repo.parent(store.commit.checksum)
    if parent is None or not repo.exists("commit", parent):
        return None
    try:
        return store_diff(repo, open_store(repo, parent, prefix), store)
    except NoStoreError:
        return None


def _usage(repo: Repo, store: StoreView, image: ImageView) -> dict[str, LayerUsage]:
    used = Usage(store.own_stack(image), repo.file_size).layers[::-1]
    return {layer.id: usage for layer, usage in zip(image.layers, used, strict=True)}


def _layer(repo: Repo, store: StoreView, layer_id: str) -> LayerSpace:
    standard_id = store.standard_ids[layer_id]
    users = store.users(standard_id)
    command = ""
    if users:
        ids = [store.standard_ids[layer.id] for layer in users[0].layers]
        command = shown_command(layer_commands(users[0].config)[ids.index(standard_id)])
    labels = tuple(sorted(image.short_label for image in users))
    space = space_of(store.own(store.layers[layer_id]), repo.file_size)
    return LayerSpace(layer_id, standard_id, command, labels, space)


def _image(
    repo: Repo, store: StoreView, image: ImageView, usages: dict[str, dict[str, LayerUsage]]
) -> ImageSpace:
    own = usages[image.id]
    known = store.standard_ids
    shared = [one.id for one in image.layers if len(store.users(known[one.id])) > 1]
    gone = set().union(*(usage.gone for usage in own.values()))
    needed = set().union(*(usage.shown for usage in own.values()))
    for other_id, others in usages.items():
        if other_id != image.id:
            needed |= set().union(*(usage.shown | usage.gone for usage in others.values()))
    return ImageSpace(
        image,
        sum(usage.size for usage in own.values()),
        sum(own[layer_id].size for layer_id in shared),
        sum(usage.hidden for usage in own.values()),
        sum(repo.file_size(checksum) for checksum in gone - needed),
    )
