"""Write a store as an image that has nothing else, into an OCI layout or archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.embed.embed import EmbedJob, embed
from importer.fetch.skopeo import Skopeo
from importer.files.oci_layout import Layout, manifest
from importer.files.scratch import scratch
from importer.run.copied import CopiedStore
from layers.compress.compress import BlobCompression
from layers.digest import Digest
from layers.document import compact_json
from layers.oci.media_type import OCI_CONFIG
from layers.oci.reference import Reference
from layers.storage.packing import Pack

if TYPE_CHECKING:
    from pathlib import Path

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView

_TAG = "empty"
# podman's own limit; see --max-layers of `image-store embed`.
_MOST_LAYERS = 128


@dataclass(frozen=True, slots=True)
class ImageCopy:
    """A `StoreCopy`: an image of the store at its prefix, made as `image-store embed` makes one of
    a base, with as many layers. `jobs` layers are packed at once."""

    text: str
    to: Reference
    jobs: int

    def check(self) -> None:
        """Accept any place: an image goes beside other images of a layout."""

    def write(self, repo: Repo, store: StoreView, progress: Progress) -> CopiedStore:
        """See `StoreCopy`."""
        with scratch() as directory:
            base = Reference.parse(f"oci:{directory}:{_TAG}")
            _write_empty(directory, _platform(store))
            made = embed(self._job(repo, store, base), progress).published
        return CopiedStore(self.text, made.unchanged, made.digest)

    def _job(self, repo: Repo, store: StoreView, base: Reference) -> EmbedJob:
        return EmbedJob(
            repo=repo.path,
            branch=store.commit.checksum,
            prefix=store.prefix,
            base=base,
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


def _platform(store: StoreView) -> dict[str, str]:
    """Return the platform of the store's first image, by name."""
    first = min(store.images, key=lambda image: (image.full_label, image.id))
    return {"architecture": first.config.architecture, "os": first.config.os}


def _write_empty(directory: Path, platform: dict[str, str]) -> None:
    """Write an image without a layer."""
    layout = Layout(directory, _TAG)
    layout.prepare()
    config = compact_json({**platform, "rootfs": {"type": "layers", "diff_ids": []}})
    layout.write(Digest.of(config), iter([config]))
    raw = manifest(OCI_CONFIG, config, [])
    layout.finish(raw, Digest.of(raw))
