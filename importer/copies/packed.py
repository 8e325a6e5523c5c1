"""Write a store as a tar, or as an image that has nothing else."""

from __future__ import annotations

import os
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from importer.embed.embed import EmbedJob, embed
from importer.embed.layer_tar import EmbeddedTar
from importer.errors import ImporterError, os_faults
from importer.fetch.skopeo import Skopeo
from importer.files.atomic import has_content, new_file
from importer.files.presence import is_directory, is_present
from importer.progress import counted
from importer.run.result import CopiedStore
from importer.store.reader import open_store
from layers.chunks import Hashed
from layers.compress.compress import BlobCompression
from layers.entry import Owner
from layers.frozen import frozen
from layers.storage.packing import Pack

if TYPE_CHECKING:
    from typing import BinaryIO

    from importer.embed.layer_tar import Source
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.oci.reference import Reference

_ABOVE = Owner(0o755, 0, 0)
# podman's own limit; see --max-layers of `image-store embed`.
_MOST_LAYERS = 128


@frozen
class TarCopy:
    """A `StoreCopy`: a tar whose root is the store's directory, in a file or written to a stream.
    It is sorted, with times of zero and with xattrs as PAX records. `update` allows to replace a
    file."""

    text: str
    to: Path | BinaryIO
    update: bool = field(kw_only=True)

    def check(self) -> None:
        if not isinstance(self.to, Path):
            return
        if not is_directory(self.to.parent):
            raise ImporterError(f"{self.to} cannot be written: there is no {self.to.parent}")
        if is_directory(self.to):
            raise ImporterError(
                f"{self.to} is a directory", hint="name a file, or DIR without tar:"
            )
        if is_present(self.to) and not self.update:
            raise ImporterError(f"{self.to} exists", hint="--update replaces it")

    def write(self, repo: Repo, commit: str, prefix: str, progress: Progress) -> CopiedStore:
        """See `StoreCopy`. A file with the same content is not touched."""
        store = open_store(repo, commit, prefix)
        members: dict[tuple[bytes, ...], Source] = {
            (name,): directory for name, directory in store.root.directories.items()
        }
        tar = EmbeddedTar(repo, lambda _: _ABOVE, by_lines=False).chunks(members)
        with os_faults(f"writing {Path(self.text)}"), progress.blob("store", store.size) as advance:
            hashed = Hashed(counted(tar, advance))
            if isinstance(self.to, Path):
                unchanged = _replace(self.to, hashed)
            else:
                unchanged = False
                self.to.writelines(hashed)
                self.to.flush()
        return CopiedStore(self.text, unchanged, hashed.digest)


def _replace(path: Path, hashed: Hashed) -> bool:
    """Write the file. Return whether it was there with the same content, and was not touched."""
    with new_file(path.parent) as new:
        new.file.writelines(hashed)
        new.file.flush()
        if has_content(path, hashed.digest, hashed.size):
            return True
        os.fchmod(new.file.fileno(), 0o644)
        new.replace(path)
    return False


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
