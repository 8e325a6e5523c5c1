"""`image-store export`: write an image into an OCI layout, or a directory of skopeo's dir:.

Formats: image-spec image-layout.md; `importer.files.image_directory`. The blobs are the
uncompressed tars, whose digests the config lists, so config and image id stay.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.imagestore.done import Done
from importer.imagestore.export_layer import LayerExport
from importer.imagestore.exported_manifest import exported_manifest
from importer.imagestore.show import choose_all
from importer.render.table import Block, Text
from importer.workers.tasks import Tasks, processes
from layers.oci.reference import ImageName
from layers.words import several, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.imagestore.export_place import ExportPlace, ExportTarget
    from importer.imagestore.exported_manifest import ExportedManifest
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.find import Stores
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.digest import Digest
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class Exported(Done):
    """The image's place, its manifest's digest there, and the number of signatures beside it."""

    place: ExportPlace
    digest: Digest
    image: ImageView
    signatures: int

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.digest))]

    def document(self) -> dict[str, object]:
        """Return the keys for JSON."""
        return {
            "layout": self.place.directory,  # the directory
            "tag": self.place.tag,  # the tag in it; `null` for `dir:`
            "digest": self.digest,  # the manifest's digest in the export
            "source_digest": self.image.manifest.digest,  # the original manifest's digest
            "image_id": self.image.id,  # podman's image id, which stays
            # the layers' diffIDs, which stay
            "diff_ids": [layer.diff_id for layer in self.image.layers],
            "signatures": self.signatures,  # the number of signatures beside the manifest
        }


def export_image(
    repo: Repo, stores: Stores, text: str, to: ExportPlace, progress: Progress, jobs: int
) -> Exported:
    """Write the image to its destination, which is made if there is none.

    At most `jobs` processes read layers.

    Raise LayerError for a layer that cannot be made again. An OCI layout then still has its old
    images, and perhaps new blobs that no manifest names; a directory has no manifest.
    """
    store, image = _original(stores, text)
    if to.tag == "":
        to = replace(to, tag=_tag(image, text))
    target = to.target()
    target.prepare()
    missing = _missing(image, target, jobs)
    _export_layers(repo, store, missing, to, progress, jobs)
    for layer in missing:
        target.written_elsewhere(layer.diff_id)
    made = exported_manifest(image, target.manifest_types)
    target.write(made.config, iter([image.config.raw]))
    signatures = store.signatures(image.record).get(made.digest, ())
    written = target.write_signatures(signatures)
    target.finish(made.raw, made.digest)
    _tell_left_signatures(image, made, written, progress)
    return Exported(to, made.digest, image, written)


def _missing(image: ImageView, target: ExportTarget, jobs: int) -> list[LayerRecord]:
    """Return the image's layers that the target lacks, each tar once, base first."""
    layers = list(reversed({one.diff_id: one for one in reversed(image.layers)}.values()))
    with ThreadPoolExecutor(jobs) as threads:  # hashing does without Python's lock
        has = threads.map(lambda layer: target.has(layer.diff_id, layer.diff_size), layers)
    return [layer for layer, is_there in zip(layers, has, strict=True) if not is_there]


def _export_layers(
    repo: Repo,
    store: StoreView,
    layers: Sequence[LayerRecord],
    to: ExportPlace,
    progress: Progress,
    jobs: int,
) -> None:
    """Write the layers' tars. Of several layers that fail, the first one's error is raised."""
    exports = [LayerExport.of(repo, store, layer, to) for layer in layers]
    count = processes(jobs, (one.size for one in exports))
    with Tasks(count, LayerExport.__module__) as tasks:
        largest_first = sorted(exports, key=lambda one: -one.size)
        begun = {one: tasks.begin(one) for one in largest_first}
        for one in exports:
            progress.message(f"exporting layer {one.layer_id[:12]}, {size(one.size)}")
            begun[one].result()


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
