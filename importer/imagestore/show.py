"""`image-store show`: show one image, layer by layer, or an artifact, file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.imagestore.image_files import LayerUsage, layer_usage
from importer.render.table import Block, Column, Shown, Table, Text
from importer.store.find import find_stored, original
from importer.store.image import ImageView
from layers.errors import printable
from layers.frozen import frozen
from layers.oci.config import layer_commands, shown_command
from layers.path import joined
from layers.tree.blocked import blocked_paths
from layers.words import first_of, several, shortened, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.writer import Repo
    from importer.store.find import Place, Stores
    from importer.store.reader import StoreView
    from layers.storage.artifact import Artifact
    from layers.storage.layer_record import LayerRecord

_COLUMNS = (
    Column("#", right=True),
    Column("LAYER"),
    Column("SIZE", right=True),
    Column("FILES", right=True),
    Column("WHITEOUTS", right=True),
    Column("HIDDEN", right=True),
    Column("SHARED WITH", fold=True),
    Column("COMMAND", below=True, style="dim"),
)
_FILE_COLUMNS = (
    Column("FILE", style="cyan"),
    Column("SIZE", right=True),
    Column("MEDIA TYPE", fold=True),
    Column("DIGEST"),
)
_COMMAND_WIDTH = 100


@frozen
class LayerDetails:
    """A layer of an image; `shared` are the other images that have the layer.

    `standard_id` is containers-storage's id, which `record` need not have. In the store, a `cut`
    layer holds all files of the layers below; another layer holds those in the directories
    `whole`. `usage` counts the layer's own part.
    """

    record: LayerRecord
    standard_id: str
    cut: bool
    whole: tuple[str, ...]
    command: str
    usage: LayerUsage
    shared: tuple[ImageView, ...]

    def row(self, number: int) -> tuple[str, ...]:
        command = printable(shown_command(self.command).encode())
        return (
            str(number),
            self.standard_id[:12],
            size(self.usage.size),
            f"{self.usage.files:,}",
            f"{self.usage.whiteouts:,}",
            size(self.usage.hidden) if self.usage.hidden else "-",
            first_of([image.short_label for image in self.shared]) or "-",
            shortened(command, _COMMAND_WIDTH),
        )

    def document(self) -> dict[str, object]:
        return {
            "layer_id": self.standard_id,  # the layer's id
            "store_layer_id": self.record.id,  # the id that it has in the store
            "diff_id": self.record.diff_id,  # the uncompressed tar's digest
            "digest": self.record.blob_digest,  # the blob's digest
            # whether the layer holds all files of the layers below in the store, too
            # (`--whiteouts=none`); the counts are of its own part
            "cut": self.cut,
            # the directories that the layer holds with all files of the layers below
            # (`--whiteouts=none`); the counts are of its own part
            "whole_directories": self.whole,
            # the command that made the layer, from the image's history
            "command": self.command,
            "tar_size": self.record.diff_size,  # bytes of the uncompressed tar
            "size": self.usage.size,  # bytes of the files
            "files": self.usage.files,  # number of files and symlinks
            "directories": self.usage.directories,  # number of directories
            "whiteouts": self.usage.whiteouts,  # number of quoted whiteouts
            "hidden_size": self.usage.hidden,  # bytes that layers above delete or replace
            "hidden_files": self.usage.hidden_files,  # number of such files
            # names of other images that have the layer
            "shared_with": [image.label for image in self.shared],
        }


@frozen
class ImageDetails(Shown):
    """An image in one store.

    `branches` are all branches that have the image, `flattened` those that have it flattened.
    """

    image: ImageView
    branches: tuple[str, ...]
    flattened: tuple[str, ...]
    layers: tuple[LayerDetails, ...]

    def blocks(self) -> list[Block]:
        """Return the image's facts, then a row for each layer, base first."""
        image = self.image
        hidden = sum(layer.usage.hidden for layer in self.layers)
        facts = [
            ("image id", image.id),
            *(("component", name) for name in image.components),
            *(("name", name) for name in image.names),
            ("digest", str(image.manifest.digest)),
            *(("index", str(index.digest)) for index in image.indexes),
            ("platform", image.platform),
            ("created", image.config.created or "unknown"),
            *((("signed", several(signed, "signature")),) if (signed := image.signatures) else ()),
            *((("kept from", kept),) if (kept := image.record.kept_from) else ()),
            *(("branch", self._branch(branch)) for branch in self.branches),
            ("size", f"{size(sum(layer.usage.size for layer in self.layers))} in files"),
            ("hidden", f"{size(hidden)} that layers above delete or replace" if hidden else "none"),
        ]
        if cut := sum(layer.cut for layer in self.layers):
            facts.append(("cut", f"{several(cut, 'layer')}, with all files of the layers below"))
        if whole := sum(len(layer.whole) for layer in self.layers):
            facts.append(("whole", f"{_count(whole)}, with files of the layers below"))
        if image.flattened:
            facts.append(("flattened", "yes: its layers are not the ones that its config names"))
        table = Table(_COLUMNS, [layer.row(n) for n, layer in enumerate(self.layers, 1)])
        return [*_fact_lines(facts), table]

    def _branch(self, branch: str) -> str:
        return f"{branch} (flattened)" if branch in self.flattened else branch

    def document(self) -> dict[str, object]:
        image = self.image
        return {
            **image.document(),  # ImageView
            # digests of indexes that the image has a name by
            "index_digests": [index.digest for index in image.indexes],
            "platform": image.platform,  # as `linux/amd64`
            "created": image.config.created or None,  # the config's time, ISO 8601
            # the branches that have the image with its original layers
            "branches": self.branches,
            "flattened_branches": self.flattened,  # the branches that have it flattened
            "flattened": image.flattened,  # whether `--flatten` made it
            # number of signatures in the record (`--keep-signatures`)
            "signatures": image.signatures,
            # the release that left the image (`--keep-images`), or `null`
            "kept_from": image.record.kept_from or None,
            "size": sum(layer.usage.size for layer in self.layers),  # bytes of the layers' files
            # bytes that a layer above deletes or replaces
            "hidden_size": sum(layer.usage.hidden for layer in self.layers),
            "layers": self.layers,  # [LayerDetails]: a list, lowest first
        }


@frozen
class ArtifactDetails(Shown):
    """An artifact, and all branches that have it."""

    artifact: Artifact
    branches: tuple[str, ...]

    def blocks(self) -> list[Block]:
        """Return the artifact's facts, then a row for each file."""
        artifact = self.artifact
        facts = [
            *(("name", name) for name in artifact.names),
            ("digest", str(artifact.digest)),
            ("type", artifact.kind),
            ("created", artifact.created or "unknown"),
            *(("branch", branch) for branch in self.branches),
            ("size", f"{size(artifact.size)} in blobs"),
        ]
        rows: list[tuple[str, ...]] = [
            (title or "-", size(blob.size), blob.media_type, str(blob.digest))
            for title, blob in artifact.files
        ]
        return [*_fact_lines(facts), Table(_FILE_COLUMNS, rows)]

    def document(self) -> dict[str, object]:
        return {
            **self.artifact.document(),  # Artifact
            "created": self.artifact.created or None,  # the annotation's time, ISO 8601
            "branches": self.branches,  # the branches that have it
            # a list of the files
            "files": [
                {
                    "title": title or None,  # the file's name in its annotation
                    "digest": blob.digest,  # the blob's digest
                    "media_type": blob.media_type,  # its media type
                    "size": blob.size,  # its size
                }
                for title, blob in self.artifact.files
            ],
        }


def _fact_lines(facts: Iterable[tuple[str, str]]) -> list[Block]:
    return [*(Text(f"{key + ':':<10} {value}") for key, value in facts), Text("")]


def details(repo: Repo, stores: Stores, text: str) -> ImageDetails | ArtifactDetails:
    """Return everything about the image or artifact that `text` means.

    Of an image that is flattened in some stores only, return the original layers.
    """
    places = find_stored(stores, text)
    store, found = original(places)
    if isinstance(found, ImageView):
        return _image_details(repo, stores, places, store, found)
    return ArtifactDetails(found, tuple(sorted({store.branch for store, _ in places})))


def _image_details(
    repo: Repo, stores: Stores, places: list[Place], store: StoreView, image: ImageView
) -> ImageDetails:
    usage = layer_usage(repo, store, image)
    commands = layer_commands(image.config)
    layers = tuple(
        LayerDetails(
            record,
            store.standard_ids[record.id],
            store.is_cut(record),
            _whole(store, record),
            command,
            used,
            _sharers(stores, store.standard_ids[record.id], image),
        )
        for record, command, used in zip(image.layers, commands, usage, strict=True)
    )
    return ImageDetails(
        image,
        tuple(sorted(store.branch for store, _ in places)),
        tuple(sorted(store.branch for store, copy in places if copy.flattened)),
        layers,
    )


def _whole(store: StoreView, record: LayerRecord) -> tuple[str, ...]:
    """Return the paths of the directories that a layer holds whole."""
    blocker = store.blocker(record)
    paths = blocked_paths(blocker) if blocker is not None else ()
    return tuple(f"/{joined(path).decode()}" for path in paths)


def _count(directories: int) -> str:
    return "1 directory" if directories == 1 else f"{directories:,} directories"


def _sharers(stores: Stores, standard_id: str, image: ImageView) -> tuple[ImageView, ...]:
    """Return the other images with this layer, each once, with a name if a store has one for it."""
    others: dict[str, ImageView] = {}
    for other in (other for store in stores.found for other in store.users(standard_id)):
        if other.id != image.id and (other.names or other.id not in others):
            others[other.id] = other
    return tuple(sorted(others.values(), key=lambda other: other.full_label))
