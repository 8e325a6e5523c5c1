"""`image-store diff`: compare two stores, and tell what a device fetches for the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from importer.imagestore.image_files import TreeDiff, changed_files, tree_diff
from importer.render.table import Block, Column, Table, Text
from importer.repo.reachable import Fetch, fetch_cost
from importer.store.artifact_files import ArtifactChanges
from importer.store.layers import layer_ids_of
from importer.store.lost import Lost, find_lost
from layers.errors import printable
from layers.frozen import frozen
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView

_COLUMNS = (
    Column(""),
    Column("COMPONENT", optional=True),
    Column("IMAGE", below=True, style="cyan"),
    Column("LAYERS", right=True),
    Column("FILES", fold=True),
)
_STYLES = {"+": "green", "~": "yellow", "-": "red"}


class ImageChanges(NamedTuple):
    """Images that one of two stores has alone, and pairs of an old and a new version among them."""

    gone: list[ImageView]
    fresh: list[ImageView]
    pairs: list[tuple[ImageView, ImageView]]


@frozen
class Changed:
    """An image that both stores have in different versions. `layers` counts B's new layers."""

    old: ImageView
    new: ImageView
    layers: int
    files: TreeDiff


@frozen
class DiffParts:
    """The parts of a difference to show: changed files, and files that B lacks."""

    files: bool = False
    lost: bool = False


@frozen
class StoreDiff:
    """The difference from store `old` to store `new`. `old` is None if there is no old store."""

    old: StoreView | None
    new: StoreView
    added: tuple[ImageView, ...]
    removed: tuple[ImageView, ...]
    changed: tuple[Changed, ...]
    unchanged: int
    new_layers: tuple[str, ...]
    old_layers: tuple[str, ...]
    fetch: Fetch
    lost: Lost
    artifacts: ArtifactChanges
    wanted: DiffParts

    @property
    def status(self) -> int:
        """Return 1 if the user asked for it and the new store lacks something, else 0."""
        return 1 if self.wanted.lost and self.lost else 0

    def summary(self) -> str:
        """Return the counts of images as one line."""
        counts = (
            (len(self.added), "added"),
            (len(self.changed), "changed"),
            (len(self.removed), "removed"),
            (self.unchanged, "unchanged"),
        )
        return ", ".join(f"{count} {word}" for count, word in counts if count) or "no images"

    def own_layers(self, image: ImageView) -> int:
        """Return how many layers of an image of the new store the old store does not have."""
        return _count(self.new, image, self.new_layers)

    def blocks(self) -> list[Block]:
        """Return a table of the images that differ, their files if asked for, and the sums."""
        table = Table(_COLUMNS)
        table.rows.extend(
            ("+", *_called(image), f"{self.own_layers(image):+d}", "new image")
            for image in self.added
        )
        table.rows.extend(
            ("~", *_called(change.new), f"{change.layers:+d}", str(change.files))
            for change in self.changed
        )
        table.rows.extend(("-", *_called(image), "", "") for image in self.removed)
        table.rows.extend(
            (sign, "", artifact.label, "", files)
            for sign, artifact, files in self.artifacts.by_sign()
        )
        blocks: list[Block] = [table, Text("")] if table.rows else []
        if self.wanted.files:
            blocks += [line for change in self.changed for line in _file_lines(change)]
        layers = f"{len(self.new_layers)} new, {len(self.old_layers)} no longer there"
        return [
            *blocks,
            Text(f"images: {self.summary()}"),
            Text(f"layers: {layers}"),
            *self._forms(),
            Text(f"a device with A fetches {self.fetch}"),
            *(_lost_lines(self.lost) if self.wanted.lost else ()),
        ]

    def document(self) -> dict[str, object]:
        return {
            "from": self.old.commit.checksum if self.old else None,  # commit A
            "to": self.new.commit.checksum,  # commit B
            # what differs
            "images": {
                "added": self.added,  # [ImageView]: a list of images that B alone has
                "removed": self.removed,  # [ImageView]: a list of images that A alone has
                # a list of pairs
                "changed": [
                    {
                        "from": change.old,  # ImageView: the image in A
                        "to": change.new,  # ImageView: the image in B
                        # changed_files: what differs in the merged root
                        "files": changed_files(change.files, counted=not self.wanted.files),
                    }
                    for change in self.changed
                ],
                "unchanged": self.unchanged,  # number of images that both have
            },
            # ids of layers
            "layers": {
                "added": self.new_layers,  # the ids that B alone has
                "removed": self.old_layers,  # the ids that A alone has
            },
            # how layers delete files: `quoted`, `none`, or `null` for a store that fits both
            "whiteouts": {
                "from": _form(self.old),  # in A; `null` without an A
                "to": _form(self.new),  # in B
            },
            "fetch": self.fetch,  # Fetch: what a device with A fetches for B
            "artifacts": self.artifacts,  # ArtifactChanges: what differs in the artifacts
            "lost": self.lost,  # Lost: what B lacks, by the ids that containers-storage knows
        }

    def _forms(self) -> Iterable[Text]:
        """Yield a line if the two stores delete files in different ways, and for different ids."""
        old, new = _form(self.old), _form(self.new)
        if old is not None and new is not None and old != new:
            yield Text(f"whiteouts: {old} in A, {new} in B; all containers have to be made again")
        elif self.old is not None:
            before, after = (layer_ids_of(store.root) for store in (self.old, self.new))
            if before is not after:
                advice = "containers that podman 6 has made have to be made again"
                yield Text(f"layer ids: {before.value} in A, {after.value} in B; {advice}")


def _form(store: StoreView | None) -> str | None:
    """Return the value of --whiteouts for a store; None for one that fits both."""
    return store.whiteouts.value if store is not None and store.whiteouts is not None else None


def _called(image: ImageView) -> tuple[str, str]:
    return ", ".join(image.components), image.label


def _count(store: StoreView, image: ImageView, layers: Container[str]) -> int:
    """Return how many of an image's layers are among these standard ids."""
    return sum(store.standard_ids[layer.id] in layers for layer in image.layers)


def _standard_ids(store: StoreView | None) -> list[str]:
    """Return the standard ids of a store's layers, in its order."""
    return [store.standard_ids.get(layer, layer) for layer in store.layers] if store else []


def _file_lines(change: Changed) -> Iterable[Text]:
    yield Text(change.new.full_label, "bold")
    for sign, paths in change.files.by_sign():
        yield from (Text(f"{sign} {printable(path)}", _STYLES[sign]) for path in paths)
    yield Text("")


def _lost_lines(lost: Lost) -> Iterable[Text]:
    counts = [(len(lost.images), "image"), (len(lost.layers), "layer")]
    counts += [(len(lost.artifacts), "artifact")] if lost.artifacts else []
    *most, last = (several(*count) for count in counts)
    yield Text(f"B lacks {', '.join(most)} and {last} of A")
    yield from (Text(f"image {image.id[:12]}  {image.full_label}", "red") for image in lost.images)
    yield from (Text(f"layer {layer.store_layer_id}", "red") for layer in lost.layers)
    yield from (Text(f"artifact {artifact.label}", "red") for artifact in lost.artifacts)


def store_diff(
    repo: Repo, old: StoreView | None, new: StoreView, wanted: DiffParts | None = None
) -> StoreDiff:
    """Compare two stores in both directions."""
    gone, fresh, pairs = image_changes(old.images if old else (), new.images)
    old_layers, new_layers = _standard_ids(old), _standard_ids(new)
    added = tuple(layer_id for layer_id in new_layers if layer_id not in old_layers)
    return StoreDiff(
        old,
        new,
        tuple(image for image in fresh if image.id not in {b.id for _, b in pairs}),
        tuple(image for image in gone if image.id not in {a.id for a, _ in pairs}),
        tuple(
            Changed(
                a, b, _count(new, b, added), tree_diff(old.trees(a.layers), new.trees(b.layers))
            )
            for a, b in pairs
            if old
        ),
        len(new.images) - len(fresh),
        added,
        tuple(layer_id for layer_id in old_layers if layer_id not in new_layers),
        fetch_cost(repo, old.commit if old else None, new.commit),
        find_lost(old, new),
        ArtifactChanges.of(old, new),
        wanted or DiffParts(),
    )


def image_changes(old: Sequence[ImageView], new: Sequence[ImageView]) -> ImageChanges:
    """Compare the images of two stores by their ids, in the order of their components or names.

    An old and a new version of the same image are paired by component or repository, if each side
    has exactly one of them for the same platform.
    """
    gone, fresh = _without(old, new), _without(new, old)
    pairs = []
    for image in fresh:
        before = [other for other in gone if _same(image, other)]
        after = [other for other in fresh if _same(image, other)]
        if len(before) == len(after) == 1:
            pairs.append((before[0], image))
    return ImageChanges(gone, fresh, pairs)


def _without(images: Sequence[ImageView], others: Sequence[ImageView]) -> list[ImageView]:
    ids = {image.id for image in others}
    left = (image for image in images if image.id not in ids)
    return sorted(left, key=lambda image: image.full_label)


def _same(image: ImageView, other: ImageView) -> bool:
    """Return whether two images are of one component, or, without releases, of one repository."""
    if image.platform != other.platform:
        return False
    if image.components and other.components:
        return not set(image.components).isdisjoint(other.components)
    return bool(image.repositories & other.repositories)
