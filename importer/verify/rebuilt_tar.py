"""Rebuild a stored layer's tar from its record and files, and check every file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from fastcrc import crc64

from importer.errors import ImporterError
from importer.repo.values import StoredFile
from layers.chunks import Hashed
from layers.entry import Entry, Kind, label_of
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.ostree.objects import content_of
from layers.path import components
from layers.tarsplit.record_reader import FileContent, segments
from layers.tree.builder import LayerTree
from layers.tree.layer_reader import LayerReader
from layers.tree.lower import find_leaf
from layers.tree.node import Leaf

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from layers.chunks import Chunks

_ZEROS = bytes(1 << 16)
# How many bytes are read beyond the size in layers.json, to report the real size of a longer tar.
_TOO_LONG = 64 << 20
_DAMAGED = "its object is damaged: mode, owner, xattrs, size or target have changed"


class Problem(NamedTuple):
    """A fault at a path of the layer, or, without a path, of the whole layer."""

    path: bytes
    text: str


@dataclass(slots=True)
class RebuiltTar:
    """Reads the tar of a layer to its end.

    Afterwards `diff_id` and `size` are those of the tar that record and files make together,
    `tree` is what that tar means, and `described` has its entry for each leaf. Zeros stand for a
    file that is missing or of another size, so that reading goes on and finds other faults. A
    LayerError ends it, and `broken` is then true.
    """

    repo: Repo
    root: RepoDirectory
    problems: list[Problem] = field(default_factory=list)
    described: dict[Leaf, Entry] = field(default_factory=dict)
    tree: LayerTree = field(default_factory=LayerTree)
    size: int = 0
    diff_id: str = ""
    broken: bool = False

    def read(self, record: Chunks, size: int) -> None:
        """Read the tar that a tar-split record describes; it should have `size` bytes. A tar that
        is longer by far is not read to its end."""
        hashed = Hashed(self._tar(record, size))
        reader = LayerReader(iter(hashed), DeviceNodes.SKIP)
        self.tree = reader.tree
        try:
            for leaf, entry in reader:
                self.described[leaf] = entry
                leaf.checksum = self._checksum(entry, reader)
        except LayerError as error:
            self.broken = True
            self.problems.append(Problem(error.path or b"", f"the layer's tar: {error.message}"))
        finally:
            self.size = hashed.size
        self.diff_id = str(hashed.digest)

    def _tar(self, record: Chunks, size: int) -> Chunks:
        left = size + _TOO_LONG
        for part in segments(record, size):
            left -= part.size if isinstance(part, FileContent) else len(part)
            if left < 0:
                raise LayerError(f"it is much longer than the {size} bytes that its record says")
            if isinstance(part, FileContent):
                yield from self._content(part)
            else:
                yield part

    def _content(self, part: FileContent) -> Chunks:
        """Yield as many bytes for a file as the record says, even if the file has more or fewer."""
        crc, left = 0, part.size
        try:
            for chunk in self._file(part):
                crc = crc64.go_iso(chunk, crc)
                yield chunk[:left]
                left = max(0, left - len(chunk))
            if left or (part.crc is not None and crc != part.crc):
                self._blame(part.path, "its content is not what the layer's tar has")
        except (LayerError, ImporterError) as error:
            self._blame(part.path, error.message)
        while left > 0:
            yield _ZEROS[:left]
            left -= len(_ZEROS)

    def _blame(self, path: bytes, text: str) -> None:
        self.problems.append(Problem(path, text))

    def _file(self, part: FileContent) -> Chunks:
        checksum = find_leaf(self.root, components(part.path))
        if checksum is None:
            raise LayerError("is missing; the layer's tar has it")
        stored = self.repo.file(checksum)
        if stored.target is not None or stored.size != part.size:
            raise LayerError("its content is not what the layer's tar has")
        return self.repo.content(checksum)

    def _checksum(self, entry: Entry, reader: LayerReader) -> str:
        """Return the checksum of the object for an entry, with the stored file's SELinux label,
        which no tar knows."""
        stored = self._stored(entry)
        label = label_of(stored.owner) if stored else ()
        owner = entry.owner._replace(xattrs=tuple(sorted((*entry.owner.xattrs, *label))))
        target, size = None, entry.size
        if entry.kind is Kind.SYMLINK:
            owner, target, size = owner._replace(mode=0o777), os.fsdecode(entry.link), 0
            hasher = sha256(content_of(owner, entry.link).header)
        else:
            hasher = sha256(content_of(owner, b"").header)
            for chunk in reader.content():
                hasher.update(chunk)
        checksum = hasher.hexdigest()
        sound = StoredFile(checksum, owner, size, target)
        if stored and stored.checksum == checksum and stored != sound:
            self._blame(entry.path, _DAMAGED)
        return checksum

    def _stored(self, entry: Entry) -> StoredFile | None:
        checksum = find_leaf(self.root, components(entry.path))
        if checksum is None or not self.repo.exists("file", checksum):
            return None
        return self.repo.file(checksum)
