"""`image-store diff --layers`: what a device with one container image pulls for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.render.table import Block, Column, Shown, Table, Text
from importer.repo.reachable import Fetch, fetch_cost
from importer.store.find import embedded_commit
from importer.store.reader import open_store
from layers.frozen import frozen
from layers.oci.config import layer_commands, shown_command
from layers.release.diff import Amount
from layers.words import several, shortened, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.oci.manifest import Descriptor
    from layers.oci.reference import Reference
    from layers.storage.image import Image

_COLUMNS = (
    Column("NEW LAYER"),
    Column("SIZE", right=True),
    Column("COMMAND", below=True, style="dim"),
)
_COMMAND_WIDTH = 100


@frozen
class NewBlob:
    """A layer that only B has, and the command that made it."""

    blob: Descriptor
    command: str

    def document(self) -> dict[str, object]:
        return {
            "digest": self.blob.digest,  # the blob's digest
            "size": self.blob.size,  # the blob's size
            "command": self.command,  # what made it, from the image's history
        }


@frozen
class LayersDiff(Shown):
    """The layers that B has and A has not. `ostree` is the cost of fetching B's store by ostree to
    a device with A's, None if the repo lacks the commit of one of the stores."""

    old: Image
    new: Image
    added: tuple[NewBlob, ...]
    ostree: Fetch | None

    def blocks(self) -> list[Block]:
        table = Table(_COLUMNS)
        table.rows.extend(
            (
                layer.blob.digest.hex[:12],
                size(layer.blob.size),
                shortened(shown_command(layer.command), _COMMAND_WIDTH),
            )
            for layer in self.added
        )
        blocks: list[Block] = [table, Text("")] if table.rows else []
        blocks.append(Text(self.pull_line()))
        if self.ostree is not None:
            blocks.append(Text(f"the stores in them by ostree: {self.ostree}"))
        return blocks

    def pull_line(self) -> str:
        """Return how many layers a device with A pulls, and their size."""
        layers = self.new.manifest.layers
        pulled = f"{size(_size(layer.blob for layer in self.added))} of {size(_size(layers))}"
        return (
            f"a device with A pulls {len(self.added)} of {several(len(layers), 'layer')}, {pulled}"
        )

    def document(self) -> dict[str, object]:
        layers = self.new.manifest.layers
        return {
            "from": self.old.digest,  # the digest of image A
            "to": self.new.digest,  # the digest of image B
            "layers": self.added,  # [NewBlob]: a list of the layers that only B has, in its order
            # Amount: what a device with A pulls
            "pull": Amount(len(self.added), _size(layer.blob for layer in self.added)),
            "total": Amount(len(layers), _size(layers)),  # Amount: all layers of B
            # Fetch: what ostree would fetch for the stores in them; `null` if the repo has not
            # both commits
            "ostree": self.ostree,
        }


def _size(blobs: Iterable[Descriptor]) -> int:
    return sum(blob.size for blob in blobs)


def diff_layers(
    repo: Repo, skopeo: Skopeo, old: Reference, new: Reference, progress: Progress
) -> LayersDiff:
    """Compare the manifests of two images. No layer is fetched."""
    with Blobs(skopeo, progress) as blobs:
        resolver = Resolver(skopeo, blobs)
        before, after = (resolver.resolve(reference) for reference in (old, new))
    pulled = {layer.digest for layer in before.manifest.layers}
    pairs = zip(after.manifest.layers, layer_commands(after.config), strict=True)
    added = tuple(NewBlob(blob, command) for blob, command in pairs if blob.digest not in pulled)
    a, b = (embedded_commit(repo, image) for image in (before, after))
    ostree = fetch_cost(repo, a, b) if a is not None and b is not None else None
    return LayersDiff(before, after, added, ostree)


def embedded_stores(
    repo: Repo, diff: LayersDiff, prefix: str | None
) -> tuple[StoreView, StoreView]:
    """Open the stores in two images. Raise ImporterError if the repo lacks a store's commit."""
    old, new = (_embedded(repo, image, prefix) for image in (diff.old, diff.new))
    return old, new


def _embedded(repo: Repo, image: Image, prefix: str | None) -> StoreView:
    commit = embedded_commit(repo, image)
    if commit is None:
        raise ImporterError(
            f"the repo has no commit that image {image.digest} was embedded from",
            hint="name the repo by which `image-store embed` made the image; an image that embed"
            " did not make cannot be checked",
        )
    return open_store(repo, commit.checksum, prefix)
