"""The lines of the journal of `import-tree translate`.

Each line is JSON: first a header, then the changes in order; a line after each group tells that
all its changes were made. A journal is checked before anything is done by it: names are names of
entries, and nodes and xattrs are of kinds that a translation finds.
"""

from __future__ import annotations

import json
import stat
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, NamedTuple

from layers.document import array, integer, mapping, parse_document, string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.ondisk.change import Change, Clear, Fill, Node, Quote, Remove, Times
from layers.path import joined
from layers.tree.overlay_xattrs import OPAQUE_XATTRS, is_metacopy, without_metacopy
from layers.whiteout import QUOTED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.document import Document
    from layers.entry import Xattrs
    from layers.path import Path

_KEY, _VERSION = "import-tree-journal", 1
_DONE = {"done": True}
# An entry that a translation removes: a whiteout's file, a device, a fifo, a socket.
_KINDS = (stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
_BITS = 0o7777
_OPAQUE_VALUES = (b"x", b"y")
_NAME_MAX = 255  # include/uapi/linux/limits.h
_MAX_ID = 2**32 - 2  # chown(2) takes the number above as "unchanged"


@frozen
class Journal:
    """The changes of a tree; at least the first `done` changes are made.

    `inode` is the number of the tree's root directory, None in a journal of an older version.
    """

    changes: tuple[Change, ...] = ()
    done: int = 0
    inode: int | None = None

    @property
    def own_whiteouts(self) -> frozenset[bytes]:
        """Return the paths of the quoted whiteouts that were made."""
        made = (change for change in self.changes if isinstance(change, Quote))
        return frozenset(joined((*quote.directory, quote.name)) for quote in made)

    def lines(self, root: bytes) -> Iterator[bytes]:
        """Yield the journal's lines; `root` is written for people. Raise LayerError for a name that
        is not UTF-8."""
        yield _line({_KEY: _VERSION, "root": root.decode(errors="replace"), "inode": self.inode})
        for number, change in enumerate(self.changes):
            if number and number == self.done:
                yield _line(_DONE)
            yield _line(_document(change))
        if self.done and self.done == len(self.changes):
            yield _line(_DONE)


def parse_journal(raw: bytes) -> Journal:
    """Parse a journal. Raise LayerError, with the line's number, if it is malformed."""
    lines = raw.splitlines()
    header = parse_document(lines[0] if lines else b"{}", "line 1")
    if header.get(_KEY) != _VERSION:
        raise LayerError(f"its first line has no {_KEY} {_VERSION}")
    inode = _Line(header, "line 1").inode() if header.get("inode") is not None else None
    changes: list[Change] = []
    done = 0
    for number, line in enumerate(lines[1:], 2):
        document = parse_document(line, f"line {number}")
        if document == _DONE:
            done = len(changes)
        else:
            changes.append(_Line(document, f"line {number}").change())
    return Journal(tuple(changes), done, inode)


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _document(change: Change) -> dict[str, object]:
    place: dict[str, object] = {"in": _text(joined(change.directory))}
    match change:
        case Quote(name=name):
            return place | {"quote": _text(name)}
        case Remove(name=name, node=node):
            return place | {"remove": _text(name), "node": _node_document(node)}
        case Clear(name=name, value=value):
            return place | {"clear": _text(name), "value": b64encode(value).decode()}
        case Times(mtime=mtime):
            return place | {"mtime": mtime}
        case Fill(name=name):
            return place | {
                "fill": _text(name),
                "from": _text(joined(change.source)),
                "inode": change.inode,
                "mtime": change.mtime,
                "xattrs": _pairs(change.xattrs),
            }


def _pairs(xattrs: Xattrs) -> list[list[str]]:
    return [[_text(name), b64encode(value).decode()] for name, value in xattrs]


def _node_document(node: Node) -> dict[str, object]:
    return {
        "mode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "device": node.device,
        "mtime": node.mtime,
        "xattrs": _pairs(node.xattrs),
    }


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise LayerError("the name is not UTF-8, so the journal cannot hold it") from None


class _Line(NamedTuple):
    """A line, or an object in it, and the line's number for errors."""

    document: Document
    number: str

    def change(self) -> Change:
        """Return the line's change. Raise LayerError if no translation makes it."""
        directory = self._path("in")
        if "quote" in self.document:
            name = self._name("quote")
            if not name.startswith(QUOTED_PREFIX):
                raise LayerError(f"{self.number}: the file to make is no quoted whiteout")
            return Quote(directory, name)
        if "remove" in self.document:
            node = _Line(mapping(self.document, "node", self.number), self.number)
            return Remove(directory, self._name("remove"), node._node())
        if "fill" in self.document:
            return self._fill(directory)
        if "mtime" in self.document:
            return Times(directory, self._integer("mtime"))
        xattr, value = self._string("clear").encode(errors="replace"), self._string("value")
        change = Clear(directory, xattr, self._decoded(value))
        if xattr not in OPAQUE_XATTRS or change.value not in _OPAQUE_VALUES:
            raise LayerError(f"{self.number}: the xattr is not one that makes a directory opaque")
        return change

    def _fill(self, directory: Path) -> Fill:
        source, xattrs = self._path("from"), self._xattrs()
        others = {name for name, _ in without_metacopy(xattrs)}
        if not source or not is_metacopy(xattrs) or others - {b"security.capability"}:
            raise LayerError(f"{self.number}: the file to fill is none of overlayfs's metacopy")
        name, mtime = self._name("fill"), self._integer("mtime")
        return Fill(directory, name, source, self.inode(), mtime, xattrs)

    def _node(self) -> Node:
        mode, device = self._integer("mode"), self._integer("device")
        uid, gid = self._integer("uid"), self._integer("gid")
        kind = mode & ~_BITS
        has_device = kind in (stat.S_IFCHR, stat.S_IFBLK)
        if kind not in _KINDS or (device and not has_device) or max(uid, gid) > _MAX_ID:
            raise LayerError(f"{self.number}: the node is of no kind that a translation removes")
        return Node(mode, uid, gid, device, self._integer("mtime"), self._xattrs())

    def inode(self) -> int:
        """Return an inode's number. overlayfs uses all 64 bits (overlayfs.rst, "xino")."""
        value = self.document.get("inode")
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise LayerError(f"{self.number}: inode is no number of 64 bits")
        return value

    def _xattrs(self) -> Xattrs:
        return tuple(map(self._xattr, array(self.document, "xattrs", self.number)))

    def _xattr(self, pair: object) -> tuple[bytes, bytes]:
        match pair:
            case [str(name), str(value)] if name and "\0" not in name:
                return name.encode(errors="replace"), self._decoded(value)
        raise LayerError(f"{self.number} has an xattr of another form")

    def _path(self, key: str) -> Path:
        text = self._string(key)
        return tuple(map(self._checked, text.split("/"))) if text else ()

    def _name(self, key: str) -> bytes:
        return self._checked(self._string(key))

    def _checked(self, text: str) -> bytes:
        """Return an entry's name. Raise LayerError for a text that could lead elsewhere."""
        name = text.encode(errors="replace")
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(name) > _NAME_MAX:
            raise LayerError(f"{self.number} has a name that no entry can have")
        return name

    def _decoded(self, text: str) -> bytes:
        try:
            return b64decode(text, validate=True)
        except ValueError:
            raise LayerError(f"{self.number} has a value that is not base64") from None

    def _string(self, key: str) -> str:
        return string(self.document, key, self.number)

    def _integer(self, key: str) -> int:
        return integer(self.document, key, self.number)
