"""Collect a report's numbers: sizes by image, layer and directory, and what is shared.

All sizes are bytes of file contents. The report is a function of the commit, and of the one that it
is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from importer.imagestore.diff import StoreDiff, store_diff
from importer.imagestore.image_files import LayerUsage, layer_usage
from importer.store.reader import store_in
from layers.errors import printable
from layers.frozen import frozen
from layers.oci.config import layer_commands, shown_command
from layers.whiteout import unquoted
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.storage.artifact import Artifact
    from layers.tree.lower import TreeDirectory

_MOST_DIRECTORIES = 20
# No picture shows more: what is smaller than this share of its layer becomes "others".
_SMALLEST = 1 / 400
_MOST_CHILDREN = 24
_DEEPEST = 12


@dataclass(slots=True)
class Space:
    """A file or directory, with the bytes of the file contents in it and the number of files."""

    name: str
    size: int = 0
    files: int = 0
    children: list[Space] = field(default_factory=list)

    def picture(self) -> list[Any]:
        """Return [name, size, files, children] for JSON, the largest child first."""
        return self._pruned(max(1.0, self.size * _SMALLEST), 0)

    def _pruned(self, smallest: float, depth: int) -> list[Any]:
        ordered = sorted(self.children, key=lambda child: (-child.size, child.name))
        if depth >= _DEEPEST:
            ordered = []
        shown = [child for child in ordered[:_MOST_CHILDREN] if child.size >= smallest]
        nodes = [child._pruned(smallest, depth + 1) for child in shown]
        rest = ordered[len(shown) :]
        size, files = sum(child.size for child in rest), sum(child.files for child in rest)
        if size and nodes:
            nodes.append([several(len(rest), "other"), size, files, []])
        return [self.name, self.size, self.files, nodes]

    def directories(self) -> Iterator[tuple[str, Space]]:
        """Yield every directory below this one with its path."""
        work = [("", self)]
        while work:
            here, node = work.pop()
            for child in node.children:
                if child.children:
                    place = f"{here}/{child.name}"
                    yield place, child
                    work.append((place, child))


@frozen
class LayerSpace:
    """A layer of the store: the command that made it, the images that have it, and its
    directories. Or a blob of an artifact: its file's name, and the artifacts that have it.
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


@frozen
class ImageSpace:
    """An image or artifact, with bytes of file contents.

    `shared` is in layers that other images have too. `hidden` is what a layer ships and a layer
    above deletes or replaces. `saved` is what the whole store would shrink by if this image alone
    were flattened: hidden files that no other image has.
    """

    image: ImageView | Artifact
    size: int
    shared: int
    hidden: int
    saved: int


@frozen
class ReportData:
    """A report of `store`. `diff` is None if there is nothing to compare it with. `saved` is what
    the store would shrink by if all images were flattened: files that no image shows."""

    store: StoreView
    images: tuple[ImageSpace, ...]
    layers: tuple[LayerSpace, ...]
    saved: int
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
        directories = [
            (path, layer, space)
            for layer in self.layers
            for path, space in layer.space.directories()
            if max((child.size for child in space.children if child.children), default=0)
            < 0.9 * space.size
        ]
        directories.sort(key=lambda place: (-place[2].size, place[0], place[1].standard_id))
        return directories[:_MOST_DIRECTORIES]

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
                    "space": layer.space.picture(),
                }
                for layer in self.layers
            ],
            "images": [
                {
                    "label": space.image.short_label,
                    "name": space.image.label,
                    "layers": [places[layer.id] for layer in space.image.layers],
                }
                for space in self.images
            ],
        }


def space_of(root: TreeDirectory, size_of: Callable[[str], int]) -> Space:
    """Measure a layer's tree, without whiteouts. `size_of` returns bytes by a file's checksum."""
    top = Space("")
    order = [top]
    work = [(root, top)]
    while work:
        directory, space = work.pop()
        for name, checksum in directory.leaves.items():
            if unquoted(name) is None:
                space.children.append(Space(printable(name), size_of(checksum), 1))
        for name, below in directory.directories.items():
            child = Space(printable(name))
            space.children.append(child)
            order.append(child)
            work.append((below, child))
    for space in reversed(order):  # children were made after their parents
        space.size = sum(child.size for child in space.children)
        space.files = sum(child.files for child in space.children)
    return top


def report_data(repo: Repo, store: StoreView, prefix: str | None) -> ReportData:
    """Return a store's report, compared with its parent if the repo has it."""
    usages = {
        image.id: dict(
            zip((layer.id for layer in image.layers), layer_usage(repo, store, image), strict=True)
        )
        for image in store.images
    }
    layers = [_layer(repo, store, layer_id) for layer_id in store.layers]
    images = [_image(repo, store, image, usages) for image in store.images]
    blobs = _blobs(store.artifacts)
    layers += blobs.values()
    images += [_artifact(artifact, blobs) for artifact in store.artifacts]
    return ReportData(
        store,
        tuple(sorted(images, key=lambda space: (-space.size, space.image.label))),
        tuple(sorted(layers, key=lambda layer: (-layer.space.size, layer.standard_id))),
        _saved(repo, [usage for own in usages.values() for usage in own.values()]),
        _diff(repo, store, prefix),
    )


def _blobs(artifacts: Sequence[Artifact]) -> dict[str, LayerSpace]:
    """Return the artifacts' blobs, each once, by digest."""
    blobs: dict[str, LayerSpace] = {}
    for artifact in artifacts:
        names = {blob.digest: name for name, blob in artifact.files}
        for blob in artifact.blobs:
            digest, hexadecimal = str(blob.digest), blob.digest.hex
            name = names.get(blob.digest) or f"blob {hexadecimal[:12]}"
            users = (*(blobs[digest].users if digest in blobs else ()), artifact.short_label)
            space = Space("", blob.size, 1, [Space(name, blob.size, 1)])
            blobs[digest] = LayerSpace(digest, hexadecimal, name, users, space)
    return blobs


def _artifact(artifact: Artifact, blobs: Mapping[str, LayerSpace]) -> ImageSpace:
    own = [blobs[layer.id] for layer in artifact.layers]
    shared = sum(blob.space.size for blob in own if len(blob.users) > 1)
    return ImageSpace(artifact, artifact.size, shared, 0, 0)


def _diff(repo: Repo, store: StoreView, prefix: str | None) -> StoreDiff | None:
    parent = repo.parent(store.commit.checksum)
    if parent is None or not repo.exists("commit", parent):
        return None
    old = store_in(repo, repo.commit(parent), prefix)
    return store_diff(repo, old, store) if old is not None else None


def _saved(repo: Repo, usages: list[LayerUsage]) -> int:
    hidden: set[str] = set().union(*(usage.gone for usage in usages))
    unneeded = hidden.difference(*(usage.shown for usage in usages))
    return sum(map(repo.file_size, unneeded))


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
    ids = [layer.id for layer in image.layers]
    shared = [layer for layer in ids if len(store.users(store.standard_ids[layer])) > 1]
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
