"""The journal of `import-tree --in-place`: the changes to a tree, to continue or to undo them.

Each line is JSON: first a header, then the changes in order; a line after each group tells that
all its changes were made. The file is replaced as a whole; it has all changes of a group before
the first one is made.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.atomic import new_file
from importer.files.replacement import read_file
from importer.tree.changes import Change, Clear, Node, Quote, Remove
from layers.document import array, integer, mapping, parse_document, string
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from layers.document import Document
    from layers.path import Path as TreePath

_KEY, _VERSION = "import-tree-journal", 1
_DONE = {"done": True}
# Of some million changes.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Journal:
    """The changes of a tree; the first `done` of them are known to be made."""

    changes: tuple[Change, ...] = ()
    done: int = 0

    @property
    def own_whiteouts(self) -> frozenset[bytes]:
        """Return the paths of the quoted whiteouts that were made."""
        made = (one for one in self.changes if isinstance(one, Quote))
        return frozenset(b"/".join([*one.directory, one.name]) for one in made)


@dataclass(slots=True)
class JournalFile:
    """A journal on disk; `root` is written into a new one, for people."""

    path: Path
    root: bytes
    journal: Journal = field(default_factory=Journal)

    def load(self) -> None:
        """Read the journal, if there is one. Raise ImporterError if it is damaged."""
        if not self.path.exists():
            return
        lines = read_file(self.path, _MOST_BYTES).splitlines()
        try:
            self.journal = _parsed(lines)
        except LayerError as error:
            raise ImporterError(
                f"{self.path} is no journal of import-tree: {error}",
                hint="name another file with --journal",
            ) from None

    def begin(self, changes: Sequence[Change]) -> None:
        """Write a group of changes to the journal before they are made."""
        self._write(Journal((*self.journal.changes, *changes), self.journal.done))

    def finish(self) -> None:
        """Write to the journal that all changes are made."""
        self._write(Journal(self.journal.changes, len(self.journal.changes)))

    def remove(self) -> None:
        """Remove the journal, when all changes are undone."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ImporterError(f"{self.path} cannot be removed: {error.strerror}") from error

    def _write(self, journal: Journal) -> None:
        lines: list[object] = [{_KEY: _VERSION, "root": os.fsdecode(self.root)}]
        lines += map(_document, journal.changes[: journal.done])
        lines += [_DONE] if journal.done else []
        lines += map(_document, journal.changes[journal.done :])
        try:
            with new_file(self.path.parent) as new:
                new.file.writelines(json.dumps(line).encode() + b"\n" for line in lines)
                new.file.flush()
                os.fsync(new.file.fileno())
                new.replace(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            raise ImporterError(f"{self.path} cannot be written: {error.strerror}") from error
        self.journal = journal


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _document(change: Change) -> dict[str, object]:
    found: dict[str, object] = {"in": os.fsdecode(b"/".join(change.directory))}
    match change:
        case Quote(name=name):
            return found | {"quote": os.fsdecode(name)}
        case Remove(name=name, node=node):
            return found | {"remove": os.fsdecode(name), "node": _node_document(node)}
        case Clear(name=name, value=value):
            return found | {"clear": os.fsdecode(name), "value": _text(value)}
    raise TypeError(f"{change!r} is no change")


def _node_document(node: Node) -> dict[str, object]:
    return {
        "mode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "device": node.device,
        "mtime": node.mtime,
        "xattrs": [[os.fsdecode(name), _text(value)] for name, value in node.xattrs],
    }


def _parsed(lines: Sequence[bytes]) -> Journal:
    documents = [parse_document(line, f"line {n}") for n, line in enumerate(lines, 1)]
    if not documents or documents[0].get(_KEY) != _VERSION:
        raise LayerError(f"its first line has no {_KEY} {_VERSION}")
    changes: list[Change] = []
    done = 0
    for number, document in enumerate(documents[1:], 2):
        if document == _DONE:
            done = len(changes)
        else:
            changes.append(_change(document, f"line {number}"))
    return Journal(tuple(changes), done)


def _change(document: Document, what: str) -> Change:
    directory = _path(string(document, "in", what))
    if "quote" in document:
        return Quote(directory, _name(document, "quote", what))
    if "remove" in document:
        node = _node(mapping(document, "node", what), what)
        return Remove(directory, _name(document, "remove", what), node)
    return Clear(directory, os.fsencode(string(document, "clear", what)), _value(document, what))


def _node(document: Document, what: str) -> Node:
    pairs = array(document, "xattrs", what)
    return Node(
        integer(document, "mode", what),
        integer(document, "uid", what),
        integer(document, "gid", what),
        integer(document, "device", what),
        integer(document, "mtime", what),
        tuple(_pair(pair, what) for pair in pairs),
    )


def _pair(pair: object, what: str) -> tuple[bytes, bytes]:
    match pair:
        case [str(name), str(value)]:
            return os.fsencode(name), _bytes(value, what)
    raise LayerError(f"{what} has an xattr of another form")


def _path(text: str) -> TreePath:
    return tuple(os.fsencode(text).split(b"/")) if text else ()


def _name(document: Document, key: str, what: str) -> bytes:
    name = os.fsencode(string(document, key, what))
    if b"/" in name or name in (b"", b".", b".."):
        raise LayerError(f"{what} has a name that none can be")
    return name


def _value(document: Document, what: str) -> bytes:
    return _bytes(string(document, "value", what), what)


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _bytes(text: str, what: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise LayerError(f"{what} has a value that is not base64") from None
