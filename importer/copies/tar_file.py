"""Write a store as a tar: sorted, with times of zero, and with xattrs as PAX records."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from importer.embed.layer_tar import EmbeddedTar
from importer.errors import ImporterError
from importer.files.atomic import has_content, naming, new_file
from importer.files.presence import is_directory, is_present
from importer.run.copied import CopiedStore
from layers.digest import Digest
from layers.entry import Owner

if TYPE_CHECKING:
    from typing import BinaryIO

    from importer.embed.layer_tar import Source
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.chunks import Chunks

_ABOVE = Owner(0o755, 0, 0)


@dataclass(frozen=True, slots=True)
class TarCopy:
    """A `StoreCopy`: a tar whose root is the store's directory, in a file or written to a stream.
    `update` allows to replace a file."""

    text: str
    to: Path | BinaryIO
    update: bool = field(kw_only=True)

    def check(self) -> None:
        """See `StoreCopy`."""
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

    def write(self, repo: Repo, store: StoreView, progress: Progress) -> CopiedStore:
        """See `StoreCopy`. A file with the same content is not touched."""
        members: dict[tuple[bytes, ...], Source] = {
            (name,): directory for name, directory in store.root.directories.items()
        }
        chunks = EmbeddedTar(repo, lambda _: _ABOVE, by_lines=False).chunks(members)
        size = sum(layer.diff_size for layer in store.layers.values())
        with naming(Path(self.text)), progress.blob("store", size) as advance:
            if isinstance(self.to, Path):
                return self._replaced(self.to, chunks, advance)
            return CopiedStore(
                self.text, unchanged=False, digest=_copy(chunks, self.to, advance)[0]
            )

    def _replaced(self, path: Path, chunks: Chunks, advance: Advance) -> CopiedStore:
        with new_file(path.parent) as new:
            digest, size = _copy(chunks, new.file, advance)
            if has_content(path, digest, size):
                return CopiedStore(self.text, unchanged=True, digest=digest)
            os.fchmod(new.file.fileno(), 0o644)
            new.replace(path)
        return CopiedStore(self.text, unchanged=False, digest=digest)


def _copy(chunks: Chunks, file: BinaryIO, advance: Advance) -> tuple[Digest, int]:
    """Write the chunks. Return their sha256 digest and their size in bytes."""
    hasher, size = sha256(), 0
    for chunk in chunks:
        hasher.update(chunk)
        size += file.write(chunk)
        advance(len(chunk))
    file.flush()
    return Digest("sha256", hasher.hexdigest()), size
