"""Describe the result of an import, for JSON and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from importer.cache.left_out import LeftOut
from layers.frozen import frozen
from layers.words import several, size

if TYPE_CHECKING:
    from importer.commit.commit_branches import BranchCommit
    from importer.release.outcome import ReleaseOutcome
    from importer.run.read_layers import PartRead
    from layers.digest import Digest
    from layers.storage.artifact import ResolvedArtifact
    from layers.storage.image import Image, ImageLayer

    type Json = dict[str, object]


@frozen
class CopiedStore:
    """A copy of the store that --to writes, beside the commit."""

    place: str  # as the command line has it
    unchanged: bool  # whether the place had just this store before
    # the digest of the tar, or of the image's manifest; `null` for a directory
    digest: Digest | None


@frozen
class Made:
    """A branch's commit, its part of the import, and the outcome of a release."""

    read: PartRead
    commit: BranchCommit
    outcome: ReleaseOutcome | None

    def images(self) -> list[Json]:
        return [image_keys(image, self.read, self.commit) for image in self.commit.branch.images]


@frozen
class Result:
    """The result of a call. `made` has the branches, but none where only layers were wanted.
    `updated` are paths of files that were rewritten. `copied` is the copy that --to asks for."""

    read: tuple[PartRead, ...]
    made: tuple[Made, ...]
    updated: tuple[str, ...]
    copied: CopiedStore | None = None

    @property
    def releases(self) -> tuple[tuple[Made, ReleaseOutcome], ...]:
        return tuple((made, made.outcome) for made in self.made if made.outcome is not None)

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(image for part in self.read for image in part.part.images)

    @property
    def incomplete(self) -> bool:
        """Return whether components of a release are missing that could not be imported."""
        return any(made.commit.branch.faults for made in self.made)

    @property
    def unchanged(self) -> bool:
        """Return whether no branch was moved, no file rewritten, and no copy of a store changed."""
        if self.copied is not None and not self.copied.unchanged:
            return False
        same = all(made.commit.unchanged for made in self.made) and not self.updated
        return same and (bool(self.releases) or not any(part.fetched for part in self.read))

    @property
    def fetched_bytes(self) -> int:
        """Return the bytes that were fetched, or read from a store."""
        return sum(part.read_bytes for part in self.read)

    @property
    def artifacts(self) -> tuple[ResolvedArtifact, ...]:
        return tuple(artifact for part in self.read for artifact in part.part.artifacts)

    def summary(self, seconds: float) -> str:
        """Return what the import did in so many seconds, as one line for people."""
        layers = sum(len(part.layers) for part in self.read)
        fetched = sum(len(part.fetched & part.layers.keys()) for part in self.read)
        names = [made.commit.branch.name for made, _ in self.releases]
        where = f"; branch {', '.join(names)}" if names else ""
        counted, noun = several(len(self.images), "image"), "layer"
        if self.artifacts:
            counted, noun = f"{counted}, {several(len(self.artifacts), 'artifact')}", "blob"
        return (
            f"{counted}: {several(fetched, noun)} fetched and"
            f" {layers - fetched} reused, {size(self.fetched_bytes)} in {seconds:.1f} s"
            f"{'; nothing changed' if self.unchanged else where}"
        )

    def lines(self) -> list[str]:
        """Return the checksums of the branches' commits, or else those of the layers, base
        first."""
        if self.made:
            return [made.commit.checksum for made in self.made]
        ids = dict.fromkeys(layer.id for image in self.images for layer in image.layers)
        return [part.layers[i].commit.checksum for part in self.read for i in ids]

    def document(self) -> Json:
        return result_of_releases(self) if self.releases else result_of_images(self)

    def images_made(self) -> list[tuple[Image, PartRead, BranchCommit | None]]:
        """Return the images in the order of the call, each with its branch's commit, if any."""
        commits = [made.commit for made in self.made]
        return [
            (
                image,
                read,
                next((commit for commit in commits if image in commit.branch.images), None),
            )
            for read in self.read
            for image in read.part.images
        ]


def result_of_images(result: Result) -> Json:
    only = result.made[0].commit if len(result.made) == 1 else None
    return {
        # the commit's checksum; `null` if there is none, as with `--form layers`, or more than one
        "commit": only.checksum if only else None,
        "branch": only.branch.name if only else None,  # the branch that has it; `null` likewise
        "unchanged": result.unchanged,  # whether the branch had this commit already
        # bytes of blobs that were read from the source; for `import-storage`, of the layers' tars
        "fetched_bytes": result.fetched_bytes,
        # CopiedStore: with `--to`, the copy of the store; else `null`
        "to": result.copied,
        # a list, in the order of the command line; an image with several names is there for each
        "images": [
            {
                **image_keys(image, read, commit),
                "commit": commit.checksum if commit else None,  # its commit, or `null`
                "branch": commit.branch.name if commit else None,  # its branch, or `null`
            }
            for image, read, commit in result.images_made()
        ],
        # [artifact_keys]: in the order of the command line
        "artifacts": [
            artifact_keys(artifact, made)
            for made in result.made
            for artifact in made.commit.branch.artifacts
        ],
    }


def artifact_keys(artifact: ResolvedArtifact, made: Made) -> Json:
    return {
        "reference": artifact.reference,  # as the command line has it
        "name": artifact.names[0],  # the name in the store
        "digest": artifact.digest,  # the manifest's digest
        "artifact_type": artifact.kind,  # the artifact's type
        # [blob_keys]: the config and the files, each blob once
        "blobs": [blob_keys(blob, made.read) for blob in artifact.layers],
        "commit": made.commit.checksum,  # its commit
        "branch": made.commit.branch.name,  # its branch
    }


def blob_keys(blob: ImageLayer, read: PartRead) -> Json:
    return {
        "digest": blob.blob.digest,  # the blob's digest
        "media_type": blob.blob.media_type,  # its media type
        "size": blob.blob.size,  # its size
        "cached": blob.id not in read.fetched,  # whether the repo had the blob before
    }


def result_of_releases(result: Result) -> Json:
    from importer.run.release_result import release_keys

    only = result.made[0].commit if len(result.made) == 1 else None
    return {
        # the commit, if the call has just one architecture; else `null`
        "commit": only.checksum if only else None,
        "branch": only.branch.name if only else None,  # its branch, likewise
        "unchanged": result.unchanged,  # whether no branch got a new commit
        "fetched_bytes": result.fetched_bytes,  # bytes of blobs that were read
        # CopiedStore: with `--to`, the copy of the store; else `null`
        "to": result.copied,
        # the files of sources that were changed, as of `--update-json`
        "updated_files": result.updated,
        # [release_keys]: one element for each architecture
        "releases": [release_keys(*release) for release in result.releases],
    }


def image_keys(image: Image, read: PartRead, commit: BranchCommit | None) -> Json:
    """Return an image for JSON; `commit` is None where only layers were wanted. The store has none
    of the layers' ids if the image is flattened."""
    return {
        **identity_keys(image),
        # [layer_keys]: the layers, lowest first
        "layers": [layer_keys(layer, read, commit) for layer in image.layers],
    }


def identity_keys(image: Image) -> Json:
    return {
        # as the command line has it; for `import-storage` as the store names the image
        "reference": image.reference,
        "digest": image.digest,  # the manifest's digest
        "image_id": image.id,  # the config digest's hex digits, podman's image id
        "names": image.names,  # the names in the store
    }


def layer_keys(layer: ImageLayer, read: PartRead, commit: BranchCommit | None) -> Json:
    made, reader = read.layers[layer.id], read.readers.get(layer.id)
    added = commit.added_entries.get(layer.id) if commit else None
    return {
        "digest": layer.blob.digest,  # the blob's digest
        "diff_id": layer.diff_id,  # the uncompressed tar's digest
        "layer_id": layer.id,  # the layer's id, of which its branches are named
        # the id that the layer has in the store (`--layer-ids`), or `null` if it is not there
        "store_layer_id": commit.store_ids.get(layer.id) if commit else None,
        "commit": made.commit.checksum,  # the commit of `oci/layer/<layer id>`
        "cached": layer.id not in read.fetched,  # whether the repo had the layer before
        "size": layer.blob.size,  # size of the blob
        "whiteouts": made.whiteouts,  # number of quoted whiteouts in the layer's tree
        "opaque": made.opaque,  # number of opaque directories in the layer's tar
        **asdict(LeftOut.of(made)),  # LeftOut
        # `import-storage`: `false` for a layer without a tar-split record
        **({} if made.verified else {"verified": False}),
        # `--whiteouts=none`: for a layer that deletes files, the number of entries of the layers
        # below that it holds in the store
        **({} if added is None else {"added_entries": added}),
        # ReadBy: with `--cluster`, the worker that has read the layer in this call
        **({} if reader is None else {"read_by": reader}),
    }
