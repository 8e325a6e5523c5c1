"""`image-store export`: write an image or artifact into an OCI layout, or a directory of skopeo's
dir:.

Formats: image-spec image-layout.md; `importer.files.image_directory`. The blobs are the
uncompressed tars, whose digests the config lists, so config and image id stay. A tar cannot be
compressed into the same bytes again. So the manifest of compressed layers cannot be kept, nor its
signatures. An artifact keeps its manifest and blobs, byte for byte.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.files.image_directory import ImageDirectory
from importer.files.oci_layout import Layout, manifest
from importer.render.table import Block, Shown, Text
from importer.repo.writer import Repo
from importer.store.artifact_files import blob_checksums
from importer.store.find import find_stored, original
from importer.store.image import ImageView
from importer.workers.tasks import Tasks, processes
from layers.chunks import verified
from layers.digest import Digest
from layers.errors import Fault, LayerError
from layers.frozen import frozen
from layers.oci.manifest import parse_single
from layers.oci.media_type import OCI_CONFIG, TAR_LAYER, Compression, layer_compression
from layers.oci.reference import ImageName
from layers.ostree.objects import Stored
from layers.path import components
from layers.tarsplit.record_reader import FileContent, assembled, segments
from layers.tree.lower import find_leaf
from layers.words import several, size

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from importer.progress import Progress
    from importer.store.find import Place, Stores
    from importer.store.reader import StoreView
    from layers.chunks import Chunks
    from layers.oci.manifest import Manifest
    from layers.storage.artifact import Artifact
    from layers.storage.layer_record import LayerRecord

type ExportTarget = ImageDirectory | Layout


@frozen
class ExportPlace:
    """The destination of an export: an OCI layout and a tag; "" keeps the image's own tag.

    With `tag` None the directory is one of skopeo's transport dir:.
    """

    directory: Path
    tag: str | None

    def target(self) -> ExportTarget:
        if self.tag is None:
            return ImageDirectory(self.directory)
        return Layout(self.directory, self.tag)


@frozen
class LayerExport:
    """A task: rebuild the layer's tar, of `size` bytes, as a blob of the exported image.

    `tree` is the layer's tree in the repo, `split` the checksum of its tar-split file.
    """

    repo: Path
    tree: Stored
    split: str
    layer_id: str
    diff_id: Digest
    size: int
    to: ExportPlace

    @classmethod
    def of(cls, repo: Repo, store: StoreView, layer: LayerRecord, to: ExportPlace) -> Self:
        """Find the layer's objects. Raise LayerError if the store lacks its tree or record."""
        tree, split = store.diff(layer.id), store.tar_split(layer.id)
        stored = Stored(tree.contents, tree.meta)
        return cls(repo.path, stored, split, layer.id, layer.diff_id, layer.diff_size, to)

    def run(self) -> None:
        """Write the blob. Raise LayerError, with the layer, if its tar cannot be made again."""
        repo = Repo.open(self.repo)
        tree = repo.directory(*self.tree)

        def read(part: FileContent) -> Chunks:
            checksum = find_leaf(tree, components(part.path))
            if checksum is None:
                raise LayerError("the file is missing in the store", path=part.path)
            return repo.content(checksum)

        try:
            tar = assembled(segments(repo.content(self.split), self.size), read)
            self.to.target().write(self.diff_id, verified(tar, self.diff_id, self.size))
        except Fault as error:
            hint = "`image-store verify` tells what is wrong with the store"
            raise error.within(digest=f"layer {self.layer_id[:12]}", hint=hint) from None


@frozen
class Exported(Shown):
    """The place of an image or artifact, its manifest's digest there, and the number of signatures
    beside it."""

    place: ExportPlace
    digest: Digest
    image: ImageView | Artifact
    signatures: int

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.digest))]

    def document(self) -> dict[str, object]:
        layers = self.image.layers if isinstance(self.image, ImageView) else ()
        return {
            "layout": self.place.directory,  # the directory
            "tag": self.place.tag,  # the tag in it; `null` for `dir:`
            "digest": self.digest,  # the manifest's digest in the export
            "source_digest": self.image.manifest.digest,  # the original manifest's digest
            "image_id": image_id(self.image),  # podman's image id, which stays; `null`: an artifact
            # the layers' diffIDs, which stay
            "diff_ids": [layer.diff_id for layer in layers],
            "signatures": self.signatures,  # the number of signatures beside the manifest
        }


def export_image(
    repo: Repo, stores: Stores, text: str, to: ExportPlace, progress: Progress, jobs: int
) -> Exported:
    """Write the image or artifact to its destination, which is made if there is none. At most
    `jobs` processes read layers.

    Raise LayerError for a layer or blob that cannot be made again. An OCI layout then still has its
    old images, and perhaps new blobs that no manifest names; a directory has no manifest.
    """
    store, image = exportable(find_stored(stores, text))
    if to.tag == "":
        to = replace(to, tag=_tag(image, text))
    target = to.target()
    (made,) = write_images(repo, [(store, image)], to, target, progress, jobs)
    kept = store.signatures(image.record) if isinstance(image, ImageView) else {}
    written = target.write_signatures(kept.get(made.digest, ()))
    target.finish(made.raw, made.digest)
    if isinstance(image, ImageView):
        _tell_left_signatures(image, made, written, progress)
    return Exported(to, made.digest, image, written)


def image_id(image: ImageView | Artifact) -> str | None:
    """Return podman's image id, None for an artifact."""
    return image.id if isinstance(image, ImageView) else None


def _missing(
    images: Sequence[Place], target: ExportTarget, jobs: int
) -> list[tuple[StoreView, LayerRecord]]:
    """Return the images' layers that the target lacks, each tar once, an image's base first."""
    layers: dict[Digest, tuple[StoreView, LayerRecord]] = {}
    for store, image in images:
        for layer in image.layers if isinstance(image, ImageView) else ():
            layers.setdefault(layer.diff_id, (store, layer))

    def has(layer: LayerRecord) -> bool:
        return target.has(layer.diff_id, layer.diff_size)

    with ThreadPoolExecutor(jobs) as threads:  # hashing does without Python's lock
        present = threads.map(has, (layer for _, layer in layers.values()))
    return [place for place, is_there in zip(layers.values(), present, strict=True) if not is_there]


def write_images(
    repo: Repo,
    images: Sequence[Place],
    to: ExportPlace,
    target: ExportTarget,
    progress: Progress,
    jobs: int,
) -> list[Manifest]:
    """Write the tars of the images' layers that the target lacks, by at most `jobs` processes, then
    configs and the blobs of artifacts. Return the manifests that the target is to have.

    Raise the error of the first layer in order that fails.
    """
    target.prepare()
    missing = _missing(images, target, jobs)
    exports = [LayerExport.of(repo, store, layer, to) for store, layer in missing]
    count = processes(jobs, (export.size for export in exports))
    with Tasks(count, LayerExport.__module__) as tasks:
        largest_first = sorted(exports, key=lambda export: -export.size)
        begun = {export: tasks.begin(export) for export in largest_first}
        for export in exports:
            progress.message(f"exporting layer {export.layer_id[:12]}, {size(export.size)}")
            begun[export].result()
    for _, layer in missing:
        target.written_elsewhere(layer.diff_id)
    return [_written(repo, *place, target, progress) for place in images]


def _written(
    repo: Repo,
    store: StoreView,
    image: ImageView | Artifact,
    target: ExportTarget,
    progress: Progress,
) -> Manifest:
    """Write what an image or artifact has beside layers, and return its manifest in the export.

    Raise LayerError for an artifact's blob that the store lacks, or that has another digest."""
    if isinstance(image, ImageView):
        made = _exported_manifest(image, target.manifest_types)
        target.write(made.config.digest, iter([image.config.raw]))
        return made
    checksums = blob_checksums(store.root)
    for blob in image.blobs:
        checksum = checksums.get(str(blob.digest))
        if checksum is None:
            raise LayerError("the blob is missing in the store", digest=str(blob.digest))
        if not target.has(blob.digest, blob.size):
            progress.message(f"exporting blob {blob.digest.hex[:12]}, {size(blob.size)}")
            target.write(blob.digest, verified(repo.content(checksum), blob.digest, blob.size))
    return image.manifest


def exportable(places: Sequence[Place]) -> Place:
    """Return a store that has the image with its own layers. Raise ImporterError if every store has
    it flattened."""
    store, image = original(places)
    if image.flattened:
        raise ImporterError(
            f"{image.label} is flattened: its layers are not the ones that its config names",
            hint="export it from a store that was imported without --flatten",
        )
    return store, image


def _exported_manifest(image: ImageView, media_types: Container[str]) -> Manifest:
    """Return an original manifest of the image if it names the uncompressed layers and is of one of
    the media types, else a new one."""
    tars = [(layer.diff_id, Compression.NONE) for layer in image.layers]
    for own in (own for own in image.manifests if own.media_type in media_types):
        if tars == [(layer.digest, layer_compression(layer.media_type)) for layer in own.layers]:
            return own
    annotations = json.loads(image.manifest.raw).get("annotations")
    layers = [(TAR_LAYER, layer.diff_id, layer.diff_size) for layer in image.layers]
    return parse_single(manifest(OCI_CONFIG, image.config.raw, layers, annotations))


def _tell_left_signatures(
    image: ImageView, made: Manifest, written: int, progress: Progress
) -> None:
    """Say how many of the image's signatures are not in the export, and why."""
    left = image.signatures - written
    reason = "they sign another manifest than the new one; `skopeo copy` from the registry has both"
    if made.digest in image.digests and not written:
        reason = "an OCI layout has no place for them; dir:DIR has"
    if left:
        progress.message(f"{several(left, 'signature')} left out: {reason}")


def _tag(image: ImageView | Artifact, text: str) -> str:
    """Return the tag of the name that the user gave, or else of any name of the image."""
    names = [name for name in image.names if f"/{name}".endswith(f"/{text}")] or image.names
    tags = [tag for name in names if (tag := ImageName.parse(name).tag)]
    return tags[0] if tags else "latest"
