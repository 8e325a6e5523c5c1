"""`image-store check-upgrade`: tell what goes on when a store takes another's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.imagestore.diff import image_changes
from importer.render.table import Block, Column, Shown, Table, Text
from importer.repo.reachable import Fetch, fetch_of, new_objects, space_of
from importer.store.artifact_files import ArtifactChanges
from importer.store.lost import mounted_for, names_in
from layers.frozen import frozen
from layers.storage.holders import Holder
from layers.storage.mounted import Obstacle, obstacle
from layers.words import first_of, several, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.imagestore.diff_layers import LayersDiff
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView

# Exit status: something does not go on by itself.
_BROKEN = 4
_COLUMNS = (
    Column("IMAGE OF A", below=True, style="cyan"),
    Column("IN B"),
    Column("PODMAN 5"),
    Column("PODMAN 6"),
    Column("PODS"),
    Column("WHY", fold=True),
)
_PODMAN = (
    "PODMAN 5: containers that podman up to 5.8 or CRI-O up to 1.36 has made; PODMAN 6: those of"
    " podman 6, or of Debian's 5.8.6"
)
_WHY = {
    "missing-layer": "B lacks layer {}",
    "form": "B has layer {} in another form",
    "ids": "B has layer {} under another id",
    "links": "B has layer {} under another link",
}


@frozen
class Containers:
    """The obstacles that keep the containers of an image from starting again."""

    by_link: Obstacle | None  # Obstacle: made by containers-storage up to 1.62; `null`: they start
    by_id: Obstacle | None  # Obstacle: made by containers-storage from 1.63 on; `null`: they start


@frozen
class ImageUpgrade:
    """The effect of an upgrade on an image of A, its containers, pods and tags."""

    image: ImageView  # ImageView: the image in A
    in_new: str  # `same`, `replaced` by another image of its component or repository, or `gone`
    containers: Containers  # Containers: containers that a device has made from it
    lost_names: tuple[str, ...]  # the names that no image of B has; pods with them have to pull
    tag_breaks: bool  # whether a record that `podman tag` made of it breaks

    @property
    def goes_on(self) -> bool:
        """Return whether its containers start again, and its pods without a pull."""
        containers = self.containers
        return not (containers.by_link or containers.by_id or self.pods_pull)

    @property
    def pods_pull(self) -> bool:
        """Return whether a pod no longer finds the image by a name, or by its id without one."""
        return bool(self.lost_names) or (self.in_new != "same" and not self.image.names)

    def row(self) -> tuple[str, ...]:
        by_link, by_id = self.containers.by_link, self.containers.by_id
        pods = "pull" if self.pods_pull else "start"
        reasons = [reason for reason in (by_link, by_id) if reason is not None]
        why = dict.fromkeys(_WHY[each.cause].format(each.layer_id[:12]) for each in reasons)
        label = self.image.full_label
        return label, self.in_new, _fate(by_link), _fate(by_id), pods, "; ".join(why)


@frozen
class UpgradeCheck(Shown):
    """The effect of an upgrade from store A to store B on a device.

    `pulled` is the difference of the images that A and B were embedded in, if any.
    """

    old: StoreView
    new: StoreView
    images: tuple[ImageUpgrade, ...]
    added: tuple[ImageView, ...]
    artifacts: ArtifactChanges
    broken_parents: tuple[str, ...]
    fetch: Fetch
    space: int
    pulled: LayersDiff | None

    @property
    def status(self) -> int:
        """Return 0 if all goes on by itself."""
        return 0 if self.goes_on else _BROKEN

    @property
    def goes_on(self) -> bool:
        lost = self.broken_parents or self.artifacts.removed
        return not lost and all(image.goes_on for image in self.images)

    def blocks(self) -> list[Block]:
        """Return a row for each image of A, and the sums."""
        table = Table(_COLUMNS, [image.row() for image in self.images])
        blocks: list[Block] = [table, Text(_PODMAN, "dim"), Text("")] if table.rows else []
        return [*blocks, *self._lines()]

    def _lines(self) -> Iterator[Text]:
        stay = sum(image.goes_on for image in self.images)
        yield Text(
            f"images: {stay} of {len(self.images)} go on with their containers and pods;"
            f" {several(len(self.added), 'new image')}"
        )
        for image in self.images:
            if image.pods_pull:
                names = ", ".join(image.lost_names) or image.image.label
                yield Text(f"pods have to pull {names}", "yellow")
        if self.old.artifacts or self.new.artifacts:
            yield from self._artifact_lines(self.artifacts)
        parents = first_of([layer[:12] for layer in self.broken_parents])
        if parents:
            yield Text(
                "images that a device pulled or built beside A break if they have one of"
                f" {several(len(self.broken_parents), 'layer')} ({parents}), and CRI-O then lists"
                " no image: enable import-image-heal.service",
                "red",
            )
        else:
            yield Text("images that a device pulled or built beside A lose nothing")
        tagged = sum(image.tag_breaks for image in self.images)
        if tagged:
            yield Text(f"records that `podman tag` made of {several(tagged, 'image')} break")
        if self.pulled is not None:
            yield Text(self.pulled.pull_line())
            yield Text(f"the stores in them by ostree: {self.fetch}")
            yield Text(
                f"the new store needs at most {size(self.space)} of free space while the device has"
                " both; new layers of the base come on top"
            )
        else:
            yield Text(f"a device with A fetches {self.fetch}")
            yield Text(f"it needs at most {size(self.space)} of free space while it has both")

    def _artifact_lines(self, changes: ArtifactChanges) -> Iterator[Text]:
        stay = changes.unchanged + len(changes.changed)
        yield Text(
            f"artifacts: {stay} of {len(self.old.artifacts)} stay, {len(changes.changed)} of them"
            f" changed; {several(len(changes.added), 'new artifact')}"
        )
        for artifact in changes.removed:
            yield Text(f"pods have to pull {artifact.label}", "yellow")

    def document(self) -> dict[str, object]:
        return {
            "from": self.old.commit.checksum,  # commit A
            "to": self.new.commit.checksum,  # commit B
            "goes_on": self.goes_on,  # whether all goes on by itself; then the exit status is 0
            "images": self.images,  # [ImageUpgrade]: a list of the images of A
            "added": self.added,  # [ImageView]: a list of images that B alone has
            "artifacts": self.artifacts,  # ArtifactChanges: what differs in the artifacts
            # ids of layers that B lacks, and that images pulled beside A may have as parents
            "broken_parents": self.broken_parents,
            # Fetch: what a device with commit A fetches for B by ostree
            "fetch": self.fetch,
            "space": self.space,  # bytes of disk that these objects take at most
            # LayersDiff: of two bootable images, the OCI layers to pull; else `null`
            "images_diff": self.pulled,
        }


def _fate(reason: Obstacle | None) -> str:
    return "start" if reason is None else "make again"


def check_upgrade(
    repo: Repo, old: StoreView, new: StoreView, pulled: LayersDiff | None = None
) -> UpgradeCheck:
    """Compare two stores by the names under which containers and images look for layers."""
    objects = new_objects(repo, old.commit, new.commit)
    ids = {image.id for image in old.images}
    return UpgradeCheck(
        old,
        new,
        tuple(_upgrades(repo, old, new)),
        tuple(image for image in new.images if image.id not in ids),
        ArtifactChanges.of(old, new),
        tuple(
            layer
            for layer in old.layers
            if old.standard_ids.get(layer) == layer and layer not in new.layers
        ),
        fetch_of(repo, objects),
        space_of(repo, objects),
        pulled,
    )


def _upgrades(repo: Repo, old: StoreView, new: StoreView) -> Iterator[ImageUpgrade]:
    before, after = names_in(repo, old), names_in(repo, new)
    present = {image.id: image for image in new.images}
    replaced = {image.id for image, _ in image_changes(old.images, new.images).pairs}
    called = {name for image in new.images for name in image.names}
    for image in sorted(old.images, key=lambda image: image.full_label):
        here = present.get(image.id)
        left = "replaced" if image.id in replaced else "gone"
        trees = mounted_for(old, image, before)
        reshaped = here is not None and here.flattened != image.flattened
        by_link, by_id = (
            obstacle(trees, holder, before, after, reshaped=reshaped)
            for holder in (Holder.LINKS, Holder.IDS)
        )
        top = image.layers[-1].id if image.layers else ""
        yield ImageUpgrade(
            image,
            left if here is None else "same",
            Containers(by_link, by_id),
            tuple(name for name in image.names if name not in called),
            bool(top) and top not in after.standard_ids,
        )
