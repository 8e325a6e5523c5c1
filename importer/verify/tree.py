"""Compare directories and files of a layer's stored tree with those that an import would make of
its tar."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.entry import Kind, Owner, unlabelled
from layers.errors import LayerError
from layers.path import Path, joined
from layers.tree.translate import settle
from layers.whiteout import quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from importer.repo.values import RepoDirectory, StoredFile
    from importer.repo.writer import Repo
    from importer.verify.rebuilt_tar import RebuiltTar
    from layers.entry import Entry
    from layers.tree.lower import Lower
    from layers.tree.node import Leaf
    from layers.tree.translate import Settled

_WHITEOUT = Owner(0, 0, 0)
# Each kind of entry, as findings name it.
_KINDS = {Kind.SYMLINK: "symlink", Kind.FILE: "file"}


@dataclass(slots=True)
class TreeCheck:
    """Compares name by name; `blame` is called with each path that differs, and how."""

    repo: Repo
    tar: RebuiltTar
    lower: Lower | None
    blame: Callable[[bytes, str], None]

    def settled(self) -> Settled | None:
        """Return the tar's tree on top of `lower`, as the import translates it, or report why it
        cannot be."""
        try:
            return settle(self.tar.tree, self.lower)
        except LayerError as error:
            self.blame(error.path or b"", error.message)
            return None

    def fault(self, path: Path, problem: str) -> None:
        """Report a fault at this path."""
        self.blame(joined(path), problem)

    def each(self, path: Path, names: Iterable[bytes], problem: str) -> None:
        """Report a fault of each of these names in a directory."""
        for name in sorted(names):
            self.fault((*path, name), problem)

    @contextmanager
    def faults(self, path: Path) -> Iterator[None]:
        """Report the ImporterError that ends the context: of an object that cannot be read."""
        try:
            yield
        except ImporterError as error:
            self.fault(path, error.message)

    def directory(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        """Compare two directories by their owners, names, files and whiteouts."""
        self.meta(path, expected, stored)
        self._whiteouts(path, expected, stored)
        self._leaves(path, expected, stored)
        self._directories(path, expected, stored)

    def meta(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        """Compare the owners of two directories."""
        if expected.meta == stored.meta:
            return
        with self.faults(path):
            meta = expected.meta
            owner = meta if isinstance(meta, Owner) else self.repo.dirmeta(meta)
            self._owner(path, owner, self.repo.dirmeta(stored.meta))

    def _owner(self, path: Path, expected: Owner, stored: Owner) -> bool:
        """Return whether two owners are the same, and report the difference, but for labels."""
        expected, stored = unlabelled(expected), unlabelled(stored)
        if expected.mode != stored.mode:
            self.fault(
                path, f"its mode is {stored.mode:04o}; the layer's tar says {expected.mode:04o}"
            )
        elif expected != stored:
            part = "xattrs are" if expected[:3] == stored[:3] else "owner is"
            self.fault(path, f"its {part} not what the layer's tar says")
        return expected == stored

    def _whiteouts(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        wanted = set(expected.whiteouts)
        there = {hidden for name in stored.leaves if (hidden := unquoted(name)) is not None}
        self.each(path, wanted - there, "its whiteout is missing: what was deleted is back")
        for name in sorted(there - wanted):
            lacks = "that the layer's tar does not have" if self._is_below(path, name) else ""
            self.fault((*path, name), f"a whiteout {lacks or 'that hides nothing'}")
        for name in sorted(there & wanted):
            self._whiteout((*path, name), stored.leaves[quoted(name)])

    def _is_below(self, path: Path, name: bytes) -> bool:
        """Return whether the layers below have a name that a whiteout could hide."""
        node = self.lower.find(path) if self.lower else None
        return node is not None and name in node.names

    def _whiteout(self, path: Path, checksum: str) -> None:
        """Check a whiteout's file: ostree gives the device its mode, owner and xattrs."""
        with self.faults(path):
            file = self.repo.file(checksum)
            if file.target is not None or file.size or unlabelled(file.owner) != _WHITEOUT:
                self.fault(path, "its whiteout is not an empty file without mode and owner")

    def _leaves(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        there = {
            name: checksum for name, checksum in stored.leaves.items() if unquoted(name) is None
        }
        wanted = expected.leaves.keys()
        self.each(path, wanted - there.keys(), "is missing; the layer's tar has it")
        self.each(path, there.keys() - wanted, "is not in the layer's tar")
        self.leaves(path, expected, there)

    def _directories(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        wanted, there = expected.directories.keys(), stored.directories.keys()
        self.each(path, wanted - there, "the directory is missing; the layer's tar has it")
        self.each(path, there - wanted, "the directory is not in the layer's tar")

    def leaves(self, path: Path, expected: Settled, there: Mapping[bytes, str]) -> None:
        """Compare the files and symlinks that both trees have in a directory."""
        for name in sorted(expected.leaves.keys() & there.keys()):
            leaf = expected.leaves[name]
            if leaf.checksum != there[name]:
                self._leaf((*path, name), leaf, there[name])

    def _leaf(self, path: Path, leaf: Leaf, checksum: str) -> None:
        """Report how two files differ. A second name under another label does not."""
        with self.faults(path):
            stored = self.repo.file(checksum)
            entry = self.tar.described.get(leaf)
            if entry is None:  # a hard link to a lower layer's file: a copy of that
                expected = self.repo.file(leaf.checksum)
                self._copy(path, expected, stored)
            else:
                self._described(path, entry, leaf, stored)

    def _copy(self, path: Path, expected: StoredFile, stored: StoredFile) -> None:
        same = self._owner(path, expected.owner, stored.owner)
        if same and not self._same_content(expected.checksum, stored):
            self.fault(path, "its content is not that of the file that it is a link to")

    def _described(self, path: Path, entry: Entry, leaf: Leaf, stored: StoredFile) -> None:
        kind = Kind.FILE if stored.target is None else Kind.SYMLINK
        if kind is not entry.kind:
            self.fault(path, f"is a {_KINDS[kind]}; the layer's tar has a {_KINDS[entry.kind]}")
            return
        owner = entry.owner._replace(mode=0o777) if kind is Kind.SYMLINK else entry.owner
        if not self._owner(path, owner, stored.owner):
            return
        if stored.target is not None and stored.target.encode() != entry.link:
            self.fault(path, "its target is not what the layer's tar has")
        elif stored.size != entry.size or not self._same_content(leaf.checksum, stored):
            self.fault(path, "its content is not what the layer's tar has")

    def _same_content(self, checksum: str, stored: StoredFile) -> bool:
        if stored.target is not None:
            return self.repo.file(checksum).target == stored.target
        if not self.repo.exists("file", checksum):
            return False
        return self._hash(checksum) == self._hash(stored.checksum)

    def _hash(self, checksum: str) -> bytes:
        hasher = sha256()
        for chunk in self.repo.content(checksum):
            hasher.update(chunk)
        return hasher.digest()
