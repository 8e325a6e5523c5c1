"""Write one stored layer's original tar to the place that its image is exported to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.files.image_directory import ImageDirectory
from importer.files.oci_layout import Layout
from importer.repo.writer import Repo
from layers.chunks import verified
from layers.digest import Digest
from layers.errors import Fault, LayerError
from layers.ostree.objects import Stored
from layers.path import components
from layers.tarsplit.record_reader import FileContent, assembled, segments
from layers.tree.lower import find_leaf

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from importer.store.reader import StoreView
    from layers.chunks import Chunks
    from layers.storage.layer_record import LayerRecord


type ExportTarget = ImageDirectory | Layout


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """The destination of an export: an OCI layout and a tag; "" keeps the image's own tag.

    With `tag` None the directory is one of skopeo's transport dir:.
    """

    directory: Path
    tag: str | None

    def target(self) -> ExportTarget:
        """Return the layout or directory to write."""
        if self.tag is None:
            return ImageDirectory(self.directory)
        return Layout(self.directory, self.tag)


@dataclass(frozen=True, slots=True)
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
            return repo.content(_file(tree, part))

        try:
            tar = assembled(segments(repo.content(self.split), self.size), read)
            self.to.target().write(self.diff_id, verified(tar, self.diff_id, self.size))
        except Fault as error:
            hint = "`image-store verify` tells what is wrong with the store"
            raise error.within(digest=f"layer {self.layer_id[:12]}", hint=hint) from None


def _file(tree: RepoDirectory, part: FileContent) -> str:
    checksum = find_leaf(tree, components(part.path))
    if checksum is None:
        raise LayerError("the file is missing in the store", path=part.path)
    return checksum
