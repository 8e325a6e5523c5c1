"""`image-store embed --dry-run`: the layers that embed would write, and which of them are new.

No layer is made but that of --rootfs, which is thrown away. No blob of the base is fetched, unless
its own store is merged or replaced. A layer counts as present if the destination's image was
embedded from a commit that this repo has, and packs the same objects. The last layer counts as
present if the destination has just the image that embed would make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.target import ExistingStore
from importer.embed.base_image import fetch_base, resolve_base
from importer.embed.embed import base_keys, new_documents, packed_layers, wanted
from importer.embed.extra_files import ExtraFiles
from importer.embed.image_layers import REMOVED, records_created_by
from importer.embed.present_store import present_store
from importer.embed.store_layers import store_layers
from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.files.oci_layout import Layout
from importer.files.scratch import scratch
from importer.render.table import Block, Column, Table, Text
from importer.repo.writer import Repo
from importer.store.find import embedded_commit
from importer.store.layers import layer_parts
from importer.store.reader import NoStoreError, StoreView, open_store
from layers.digest import Digest
from layers.frozen import frozen
from layers.oci.derive import NewLayer
from layers.oci.manifest import Descriptor
from layers.path import joined
from layers.words import first_of, several, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.embed.embed import EmbedJob
    from importer.embed.store_layers import StoreLayers
    from importer.progress import Progress
    from layers.storage.image import Image

    # The store layers packed into a layer: the paths and checksums of their parts.
    type Content = tuple[tuple[str, ...], ...]

_COLUMNS = (
    Column("STORE LAYERS", right=True),
    Column("SIZE", right=True),
    Column("DESTINATION"),
    Column("IMAGES", fold=True),
)


@frozen
class RehearsedLayer:
    store_layers: tuple[str, ...]  # the ids of the store's layers that are in it
    tar_size: int  # about the size of these layers in an uncompressed tar
    images: tuple[str, ...]  # short names of their images
    known: bool  # whether the image at the destination has the layer

    def row(self) -> tuple[str, ...]:
        known = "has it" if self.known else "new"
        return str(len(self.store_layers)), size(self.tar_size), known, first_of(self.images) or "-"


@frozen
class EmbedPlan:
    """The layers that would be written on top of the base's.

    The last one, with the records, counts as new unless `unchanged`: the destination has this very
    image. `compared` tells whether the store of the image at the destination is known.
    """

    job: EmbedJob
    base: Image
    store: StoreView
    layers: tuple[RehearsedLayer, ...]
    compared: bool
    unchanged: bool
    status: int = 0

    def blocks(self) -> list[Block]:
        table = Table(_COLUMNS, [layer.row() for layer in self.layers])
        new = [layer for layer in self.layers if not layer.known]
        sums = (
            f"new: {len(new)} of {several(len(self.layers), 'layer')}, {_size(new)} of"
            f" {_size(self.layers)} uncompressed"
        )
        told = [Text("unchanged: the destination has this image")] if self.unchanged else []
        return [table, Text(""), Text(sums), *told]

    def document(self) -> dict[str, object]:
        return {
            "dry_run": True,  # `true`
            "destination": self.job.to,  # as the command line has it
            "unchanged": self.unchanged,  # whether the destination has just this image
            **base_keys(self.job, self.base, self.store),
            # whether the store of the image at the destination is known; else each layer counts as
            # new
            "compared": self.compared,
            # [RehearsedLayer]: a list of the layers on top of the base's, in the image's order; the
            # last one has the records, and counts as new unless the image is unchanged
            "layers": self.layers,
        }


def _size(layers: Iterable[RehearsedLayer]) -> str:
    return size(sum(layer.tar_size for layer in layers))


def plan_embed(job: EmbedJob, progress: Progress) -> EmbedPlan:
    """Return what `embed` would write. Raise ImporterError as `embed` does for the store."""
    repo = Repo.open(job.repo)
    store = open_store(repo, job.branch, job.prefix)
    stored = store_layers(repo, store)
    with Blobs(job.skopeo, progress) as blobs, scratch(large=True) as home:
        layout = Layout(home / "layout", "base")
        layout.prepare()
        base = resolve_base(job, store, blobs, layout, progress)
        old, before = _before(job, repo, blobs, progress)
        there, removal = _base_store(job, store, base, blobs, layout)
    below = len(base.layers) + len(removal)
    stored = stored.without(there)
    packing = packed_layers(job, stored, below)
    present: set[Content] = set()
    if before is not None:
        groups = packed_layers(job, store_layers(repo, before).without(there), below).groups
        present = {_content(before, group) for group in groups}
    groups_created_by = map(stored.created_by, packing.groups)
    created_by = [*removal, *groups_created_by, records_created_by(store, job)]
    unchanged = old is not None and _is_image(old, job, store, base, created_by)
    layers = [
        _planned(stored, group, _content(store, group) in present) for group in packing.groups
    ]
    layers.append(_planned(stored, packing.last, known=unchanged))
    return EmbedPlan(job, base, store, tuple(layers), before is not None, unchanged)


def _is_image(
    old: Image, job: EmbedJob, store: StoreView, base: Image, created_by: Sequence[str]
) -> bool:
    """Return whether embed would make just the image at the destination.

    An image's documents name the store's commit, the base and, in the history, the layers and
    options. If embed would write the same documents, it would write the same layers, too.
    """
    count, blobs = len(base.layers), old.manifest.layers
    if len(blobs) != count + len(created_by):
        return False
    above = zip(blobs[count:], old.config.diff_ids[count:], created_by, strict=True)
    media_type = job.compression.media_type
    new = [
        NewLayer(Descriptor(media_type, blob.digest, blob.size), diff_id, text)
        for blob, diff_id, text in above
    ]
    _, manifest = new_documents(job, store, base, blobs[:count], new)
    return Digest.of(manifest) == old.digest


def _base_store(
    job: EmbedJob, store: StoreView, base: Image, blobs: Blobs, layout: Layout
) -> tuple[frozenset[str], list[str]]:
    """Return which of the branch's layers the base's store has, and the history entry of the layer
    that removes that store, if it is removed."""
    if job.existing is ExistingStore.ERROR:
        return frozenset(), []
    image = fetch_base(base, blobs, layout, job.downloads, wanted(store, ExtraFiles(store, job)))
    there = present_store(job.existing, store, image)
    return there.layers, [REMOVED] if there.removed else []


def _planned(stored: StoreLayers, group: tuple[str, ...], known: bool) -> RehearsedLayer:
    return RehearsedLayer(group, stored.size(group), stored.users(group), known)


def _before(
    job: EmbedJob, repo: Repo, blobs: Blobs, progress: Progress
) -> tuple[Image | None, StoreView | None]:
    """Return the image at the destination and its store. Report why none can be compared."""
    try:
        image = Resolver(job.skopeo, blobs).resolve(job.to)
    except ImporterError as error:
        progress.message(f"nothing at the destination to compare with: {error.message}")
        return None, None
    commit = embedded_commit(repo, image)
    types = {layer.media_type for layer in image.manifest.layers[-1:]}
    if commit is None or types != {job.compression.media_type}:
        progress.message(
            "the image at the destination has no store of this repo in layers of this compression"
        )
        return image, None
    try:
        return image, open_store(repo, commit.checksum, job.prefix)
    except NoStoreError as error:
        progress.message(f"the image at the destination: {error.message}")
        return image, None


def _content(store: StoreView, group: tuple[str, ...]) -> Content:
    content: list[tuple[str, ...]] = [(store.prefix,)]
    for layer in group:
        for path, part in layer_parts(store.root, layer).items():
            checksums = (part,) if isinstance(part, str) else (part.contents, part.meta)
            content.append((joined(path).decode(), *checksums))
    return tuple(content)
