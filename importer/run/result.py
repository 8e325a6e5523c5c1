"""The result of an import, for standard output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from importer.cache.omitted import LeftOut, counted

if TYPE_CHECKING:
    from collections.abc import Collection

    from importer.cache.layer import LayerCommit
    from importer.commit.commit_branches import BranchCommit
    from importer.ingest.executor import ReadBy
    from importer.release.outcome import ReleaseOutcome
    from importer.run.read_layers import PartRead
    from layers.storage.image import Image, ImageLayer


@dataclass(frozen=True, slots=True)
class Made:
    """A branch's commit, its part of the import, and the outcome of a release."""

    read: PartRead
    commit: BranchCommit
    outcome: ReleaseOutcome | None

    def images(self) -> list[dict[str, Any]]:
        """Return the images of the branch, for JSON."""
        return [_described(image, self.read, self.commit) for image in self.commit.branch.images]

    def place(self) -> dict[str, Any]:
        """Return the commit and the branch of its images, for JSON."""
        return {"commit": self.commit.checksum, "branch": self.commit.branch.name}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call. `made` has the branches, but none where only layers were wanted.
    `updated` are paths of files that were rewritten."""

    read: tuple[PartRead, ...]
    made: tuple[Made, ...]
    updated: tuple[str, ...]

    @property
    def releases(self) -> tuple[tuple[Made, ReleaseOutcome], ...]:
        """Return the branches with releases."""
        return tuple((one, one.outcome) for one in self.made if one.outcome is not None)

    @property
    def images(self) -> tuple[Image, ...]:
        """Return all images."""
        return tuple(image for one in self.read for image in one.part.images)

    @property
    def incomplete(self) -> bool:
        """Return whether components of a release are missing that could not be imported."""
        return any(one.commit.branch.faults for one in self.made)

    @property
    def unchanged(self) -> bool:
        """Return whether no branch was moved, and no file rewritten."""
        same = all(one.commit.unchanged for one in self.made) and not self.updated
        return same and (bool(self.releases) or not any(one.fetched for one in self.read))

    @property
    def fetched_bytes(self) -> int:
        """Return the bytes that were fetched, or read from a store."""
        return sum(one.read_bytes for one in self.read)

    def summary(self, seconds: float) -> str:
        """Return what the import did in so many seconds, as one line for people."""
        layers = sum(len(one.layers) for one in self.read)
        fetched = sum(len(one.fetched & one.layers.keys()) for one in self.read)
        names = [one.commit.branch.name for one in self.made]
        where = f"; branch {', '.join(names)}" if self.releases or len(names) == 1 else ""
        return (
            f"{counted(len(self.images), 'image')}: {counted(fetched, 'layer')} fetched and"
            f" {layers - fetched} reused, {self.fetched_bytes:,} bytes in {seconds:.1f} s{where}"
        )

    def lines(self) -> list[str]:
        """Return the checksums of the branches' commits, or else those of the layers, base
        first."""
        if self.made:
            return [one.commit.checksum for one in self.made]
        ids = dict.fromkeys(layer.id for image in self.images for layer in image.layers)
        return [part.layers[one].commit.checksum for part in self.read for one in ids]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. `commit` and `branch` are null unless there is exactly one."""
        only = self.made[0].place() if len(self.made) == 1 else {"commit": None, "branch": None}
        whole = {"unchanged": self.unchanged, "fetched_bytes": self.fetched_bytes}
        if self.releases:
            from importer.run.release_result import release_document

            releases = [release_document(*one) for one in self.releases]
            return only | whole | {"updated_files": list(self.updated), "releases": releases}
        return only | whole | {"images": self._images()}

    def _images(self) -> list[dict[str, Any]]:
        """Return the images for JSON, in the order of the call."""
        found = []
        for read in self.read:
            for image in read.part.images:
                made = next((one for one in self.made if image in one.commit.branch.images), None)
                place = made.place() if made else {"commit": None, "branch": None}
                found.append(_described(image, read, made.commit if made else None) | place)
        return found


def _described(image: Image, read: PartRead, commit: BranchCommit | None) -> dict[str, Any]:
    """Return an image for JSON; `commit` is None where only layers were wanted. The store has none
    of the layers' ids if the image is flattened."""
    store_ids = commit.store_ids if commit is not None else {}
    added = commit.added_entries if commit is not None else {}
    return {
        **identity(image),
        "layers": [
            _layer(layer, read.layers[layer.id], read.fetched, store_ids.get(layer.id))
            | ({"added_entries": added[layer.id]} if layer.id in added else {})
            | _reader(read.readers.get(layer.id))
            for layer in image.layers
        ],
    }


def identity(image: Image) -> dict[str, Any]:
    """Return an image's names and digests for JSON."""
    return {
        "reference": str(image.reference),
        "digest": str(image.digest),
        "image_id": image.id,
        "names": list(image.names),
    }


def _layer(
    layer: ImageLayer, found: LayerCommit, fetched: Collection[str], store_id: str | None
) -> dict[str, Any]:
    return {
        "digest": str(layer.blob.digest),
        "diff_id": str(layer.diff_id),
        "layer_id": layer.id,
        "store_layer_id": store_id,
        "commit": found.commit.checksum,
        "cached": layer.id not in fetched,
        "size": layer.blob.size,
        "whiteouts": found.whiteouts,
        "opaque": found.opaque,
        **LeftOut.of(found).document(),
        **({} if found.verified else {"verified": False}),
    }


def _reader(reader: ReadBy | None) -> dict[str, Any]:
    """Return the worker of a cluster that read a layer, nothing without a cluster."""
    if reader is None:
        return {}
    return {"read_by": {"worker": reader.worker, "seconds": round(reader.seconds, 3)}}
