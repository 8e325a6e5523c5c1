"""`image-store export`: write an image into an OCI layout, or a directory of skopeo's dir:.

Formats: image-spec image-layout.md; `importer.files.image_directory`. The blobs are the
uncompressed tars, whose digests the config lists, so config and image id stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from importer.errors import ImporterError
from importer.files.image_directory import ImageDirectory
from importer.files.oci_layout import Layout
from importer.imagestore.done import Done
from importer.imagestore.exported_manifest import exported_manifest
from importer.imagestore.show import choose_all
from importer.render.table import Block, Text, several, size
from layers.chunks import verified
from layers.errors import Fault, LayerError
from layers.oci.reference import ImageName
from layers.path import components
from layers.tarsplit.record_reader import Content, assembled, segments
from layers.tree.lower import find_leaf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.imagestore.exported_manifest import ExportedManifest
    from importer.progress import Progress
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import Stores, StoreView
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image goes: an OCI layout, and the tag in it, "" for the tag that the image has.

    With `tag` None the directory is one of skopeo's transport dir:.
    """

    directory: Path
    tag: str | None

    def target(self) -> Target:
        """Return the layout or directory to write."""
        if self.tag is None:
            return ImageDirectory(self.directory)
        return Layout(self.directory, self.tag)


@dataclass(frozen=True, slots=True)
class Exported(Done):
    """The image's place, its manifest's digest there, and the number of signatures beside it."""

    place: Place
    digest: Digest
    image: ImageView
    signatures: int

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.digest))]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. `source_digest` is the digest of the manifest in the store."""
        return {
            "layout": str(self.place.directory),
            "tag": self.place.tag,
            "digest": str(self.digest),
            "source_digest": str(self.image.manifest.digest),
            "image_id": self.image.id,
            "diff_ids": [str(layer.diff_id) for layer in self.image.layers],
            "signatures": self.signatures,
        }


class Target(Protocol):
    """A place for one image. `finish` writes its manifest, when all else is there."""

    @property
    def manifest_types(self) -> tuple[str, ...]: ...
    def prepare(self) -> None: ...
    def has(self, digest: Digest, /) -> bool: ...
    def write(self, digest: Digest, chunks: Chunks, /) -> None: ...
    def write_signatures(self, signatures: Sequence[bytes], /) -> int: ...
    def finish(self, raw: bytes, digest: Digest, /) -> None: ...


def export_image(repo: Repo, stores: Stores, text: str, to: Place, progress: Progress) -> Exported:
    """Write the image to its destination, which is made if there is none.

    Raise LayerError for a layer that cannot be made again. An OCI layout is then as before, but
    for blobs that nothing names; a directory has no manifest.
    """
    store, image = _original(stores, text)
    if to.tag == "":
        to = replace(to, tag=_tag(image, text))
    target = to.target()
    target.prepare()
    for layer in image.layers:
        if not target.has(layer.diff_id):
            progress.message(f"exporting layer {layer.id[:12]}, {size(layer.diff_size)}")
            _export_layer(repo, store, layer, target)
    made = exported_manifest(image, target.manifest_types)
    target.write(made.config, iter([image.config.raw]))
    signatures = store.signatures(image.record).get(made.digest, ())
    written = target.write_signatures(signatures)
    target.finish(made.raw, made.digest)
    _tell_left_signatures(image, made, written, progress)
    return Exported(to, made.digest, image, written)


def _original(stores: Stores, text: str) -> tuple[StoreView, ImageView]:
    """Return the image that `text` means. Raise ImporterError if every store has it flattened."""
    places = choose_all(stores, text)
    store, image = next((place for place in places if not place[1].flattened), places[0])
    if image.flattened:
        raise ImporterError(
            f"{image.label} is flattened: its layers are not the ones that its config names",
            hint="export it from a store that was imported without --flatten",
        )
    return store, image


def _tell_left_signatures(
    image: ImageView, made: ExportedManifest, written: int, progress: Progress
) -> None:
    """Say how many of the image's signatures are not in the export, and why."""
    left = image.signatures - written
    reason = "they sign another manifest than the new one; `skopeo copy` from the registry has both"
    if made.original and not written:
        reason = "an OCI layout has no place for them; dir:DIR has"
    if left:
        progress.message(f"{several(left, 'signature')} left out: {reason}")


def _tag(image: ImageView, text: str) -> str:
    """Return the tag of the name that the user gave, or else of any name of the image."""
    names = [name for name in image.names if f"/{name}".endswith(f"/{text}")] or image.names
    tags = [tag for name in names if (tag := ImageName.parse(name).tag)]
    return tags[0] if tags else "latest"


def _export_layer(repo: Repo, store: StoreView, layer: LayerRecord, target: Target) -> None:
    tree, record = store.diff(layer.id), repo.content(store.tar_split(layer.id))

    def read(part: Content) -> Chunks:
        return repo.content(_file(tree, part))

    try:
        tar = assembled(segments(record), read)
        target.write(layer.diff_id, verified(tar, layer.diff_id, layer.diff_size))
    except Fault as error:
        hint = "`image-store verify` tells what is wrong with the store"
        raise error.within(digest=f"layer {layer.id[:12]}", hint=hint) from None


def _file(tree: RepoDirectory, part: Content) -> str:
    found = find_leaf(tree, components(part.path))
    if found is None:
        raise LayerError("the file is missing in the store", path=part.path)
    return found
