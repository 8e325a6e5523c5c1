"""Write a store as an image that has nothing else, into an OCI layout or archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.embed.embed import EmbedJob, embed
from importer.fetch.skopeo import Skopeo
from importer.run.result import CopiedStore
from layers.compress.compress import BlobCompression
from layers.frozen import frozen
from layers.storage.packing import Pack

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.oci.reference import Reference

# podman's own limit; see --max-layers of `image-store embed`.
_MOST_LAYERS = 128


@frozen
class ImageCopy:
    """A `StoreCopy`: an image of the store at its prefix, made as `image-store embed` makes one of
    a base, with as many layers. `jobs` layers are packed at once."""

    text: str
    to: Reference
    jobs: int

    def check(self) -> None:
        """Accept any place: an image goes beside other images of a layout."""

    def write(self, repo: Repo, commit: str, prefix: str, progress: Progress) -> CopiedStore:
        made = embed(self._job(repo, commit, prefix), progress).published
        return CopiedStore(self.text, made.unchanged, made.digest)

    def _job(self, repo: Repo, commit: str, prefix: str) -> EmbedJob:
        return EmbedJob(
            repo=repo.path,
            branch=commit,
            prefix=prefix,
            base=None,
            to=self.to,
            skopeo=Skopeo(insecure_policy=True),  # all images are of this machine
            jobs=self.jobs,
            downloads=1,
            labels={},
            bound=False,
            equivalence=False,
            compression=BlobCompression.GZIP,
            max_layers=_MOST_LAYERS,
            small=Pack.UPDATES,
        )
