"""`image-store export`: write an image into an OCI layout, with its layers' original tars.

Format: image-spec image-layout.md. The blobs are the uncompressed tars, whose digests the config
lists, so config and image id stay. The manifest is new: the compressed blobs that the old one names
cannot be made again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.files.oci_layout import Layout, manifest
from importer.imagestore.done import Done
from importer.imagestore.show import choose_all
from importer.render.table import Block, Text, size
from layers.chunks import verified
from layers.errors import Fault, LayerError
from layers.oci.media_type import OCI_CONFIG, TAR_LAYER
from layers.oci.reference import ImageName
from layers.path import components
from layers.tarsplit.record_reader import Content, assembled, segments
from layers.tree.lower import find_leaf

if TYPE_CHECKING:
    from pathlib import Path

    from importer.progress import Progress
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import Stores, StoreView
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class Exported(Done):
    """The image's place in the layout, and its new manifest's digest."""

    directory: Path
    tag: str
    digest: Digest
    image: ImageView

    def blocks(self) -> list[Block]:
        """Return the new manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.digest))]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. `source_digest` is the digest of the manifest in the store."""
        return {
            "layout": str(self.directory),
            "tag": self.tag,
            "digest": str(self.digest),
            "source_digest": str(self.image.manifest.digest),
            "image_id": self.image.id,
            "diff_ids": [str(layer.diff_id) for layer in self.image.layers],
        }


def export_image(
    repo: Repo, stores: Stores, text: str, directory: Path, tag: str, progress: Progress
) -> Exported:
    """Write the image into the layout, which is made if there is none, under the tag, or the
    one that it has if `tag` is empty.

    LayerError for a layer that cannot be made again; the layout is then as before, but for
    blobs that nothing names.
    """
    places = choose_all(stores, text)
    store, image = next((place for place in places if not place[1].flattened), places[0])
    if image.flattened:
        raise ImporterError(
            f"{image.label} is flattened: its layers are not the ones that its config names",
            hint="export it from a store that was imported without --flatten",
        )
    layout = Layout(directory)
    layout.prepare()
    for layer in image.layers:
        if not layout.has(layer.diff_id):
            progress.message(f"exporting layer {layer.id[:12]}, {size(layer.diff_size)}")
            _export_layer(repo, store, layer, layout)
    layout.put(image.config.raw)
    tag = tag or _tag(image, text)
    return Exported(directory, tag, layout.tag(tag, _manifest(image)), image)


def _tag(image: ImageView, text: str) -> str:
    """Return the tag of the name that the user gave, or else of any name of the image."""
    names = [name for name in image.names if f"/{name}".endswith(f"/{text}")] or image.names
    tags = [tag for name in names if (tag := ImageName.parse(name).tag)]
    return tags[0] if tags else "latest"


def _export_layer(repo: Repo, store: StoreView, layer: LayerRecord, layout: Layout) -> None:
    tree, record = store.diff(layer.id), repo.content(store.tar_split(layer.id))

    def read(part: Content) -> Chunks:
        return repo.content(_file(tree, part))

    try:
        tar = assembled(segments(record), read)
        layout.write(layer.diff_id, verified(tar, layer.diff_id, layer.diff_size))
    except Fault as error:
        hint = "`image-store verify` tells what is wrong with the store"
        raise error.within(digest=f"layer {layer.id[:12]}", hint=hint) from None


def _file(tree: RepoDirectory, part: Content) -> str:
    found = find_leaf(tree, components(part.path))
    if found is None:
        raise LayerError("the file is missing in the store", path=part.path)
    return found


def _manifest(image: ImageView) -> dict[str, Any]:
    """Return the manifest, with the annotations of the original."""
    annotations = json.loads(image.manifest.raw).get("annotations")
    layers = [(TAR_LAYER, layer.diff_id, layer.diff_size) for layer in image.layers]
    made = manifest(OCI_CONFIG, image.config.raw, layers)
    return made | ({"annotations": annotations} if annotations else {})
