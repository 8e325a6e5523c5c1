"""The result of reading one layer: a value sent from one process to another.

To and from another machine, a read layer is a JSON object: bytes are text in Latin-1, a directory
is its number in a list, and a file that has several names is one number as well. The other machine
may send anything.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from layers.document import Document, array, integer
from layers.entry import Owner
from layers.errors import LayerError
from layers.frozen import frozen
from layers.ostree.objects import Stored
from layers.path import components
from layers.tree.builder import LayerTree, LowerLink
from layers.tree.node import Gap, Leaf, rows

if TYPE_CHECKING:
    from layers.tree.node import Row

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_COUNTS = ("opaque_markers", "skipped_devices", "stray_devices")
_SIZES = ("dropped_xattrs", "diff_size", "entries", "size")
_MAX = 2**32 - 1  # a user's or group's id
_WHAT = "a layer"

type _JsonEntry = int | list[int] | list[str] | str


@frozen
class ReadLayer:
    """A layer whose files are stored.

    `tree` names the stored files by their checksums. `diff_size` is the size of the uncompressed
    tar in bytes. `record` is the tar-split file (gzip), None for a layer that was read from a
    directory without one. `dropped_xattrs` counts the xattrs that are not in the tree. `verified`
    says that the layer's tar, and the tars of all layers below it, have their diffIDs. `entries`
    and `size` (bytes) count what was read: the tar, or the directory.
    """

    tree: LayerTree
    dropped_xattrs: int
    diff_size: int
    record: bytes | None
    verified: bool = True
    entries: int = 0
    size: int = 0


def layer_document(layer: ReadLayer) -> Document:
    """Return the layer as a JSON object."""
    tree, leaves = layer.tree, _Leaves()
    return {
        "directories": [_row(row, leaves) for row in rows(tree.root)],
        "links": [[leaves.number(link.leaf), _text(link.path), _text(link.target)]
                  for link in tree.links],
        "leaves": [[leaf.checksum, leaf.lost] for leaf in leaves.listed],
        "uids": sorted(tree.uids),
        "gids": sorted(tree.gids),
        **{name: getattr(tree, name) for name in _COUNTS},
        **{name: getattr(layer, name) for name in _SIZES},
        "record": None if layer.record is None else b64encode(layer.record).decode(),
        "verified": layer.verified,
    }  # fmt: skip


class _Leaves:
    def __init__(self) -> None:
        self.listed: list[Leaf] = []
        self._numbers: dict[Leaf, int] = {}

    def number(self, leaf: Leaf) -> int:
        number = self._numbers.setdefault(leaf, len(self.listed))
        if number == len(self.listed):
            self.listed.append(leaf)
        return number


def _row(row: Row, leaves: _Leaves) -> list[object]:
    owner, entries, whiteouts, opaque, real = row
    return [
        None if owner is None else [*owner[:3], [[*map(_text, xattr)] for xattr in owner.xattrs]],
        {_text(name): _entry(node, leaves) for name, node in entries.items()},
        sorted(map(_text, whiteouts)),
        opaque,
        real,
    ]


def _entry(node: Leaf | Stored | Gap | int, leaves: _Leaves) -> _JsonEntry:
    match node:
        case Leaf():
            return [leaves.number(node)]
        case Stored():
            return [*node]
        case Gap():
            return str(node.value)
        case _:
            return node


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def parse_layer(document: Document) -> ReadLayer:
    """Parse a layer's JSON object: the inverse of `layer_document`. Raise LayerError for anything
    else."""
    try:
        return _parsed(document)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise LayerError(f"{_WHAT} is malformed: {str(error)[:200]}") from None


def _parsed(document: Document) -> ReadLayer:
    leaves = [Leaf(_checksum(checksum) if checksum else "", _flag(lost))
              for checksum, lost in array(document, "leaves", _WHAT)]  # fmt: skip
    tree = LayerTree()
    tree.__setstate__(
        {
            "root": _rows(array(document, "directories", _WHAT), leaves),
            "links": [
                LowerLink(leaves[_number(leaf)], _bytes(path), _bytes(target))
                for leaf, path, target in array(document, "links", _WHAT)
            ],
            "uids": {*map(_number, array(document, "uids", _WHAT))},
            "gids": {*map(_number, array(document, "gids", _WHAT))},
            **{name: integer(document, name, _WHAT) for name in _COUNTS},
        }
    )
    record = document.get("record")
    return ReadLayer(
        tree=tree,
        record=None if record is None else b64decode(record, validate=True),
        verified=_flag(document.get("verified")),
        **{name: integer(document, name, _WHAT) for name in _SIZES},
    )


def _rows(listed: list[Any], leaves: list[Leaf]) -> list[Row]:
    """Return the directories. Raise ValueError if they are no tree: each number but the root's has
    to stand in exactly one directory, before it in the list."""
    rows_read: list[Row] = []
    numbers: list[int] = []
    for own, (owner, entries, whiteouts, opaque, real) in enumerate(listed):
        read = {_name(name): _node(entry, leaves) for name, entry in entries.items()}
        below = [node for node in read.values() if isinstance(node, int)]
        if any(number <= own for number in below):
            raise ValueError("a directory is below itself")
        numbers += below
        hidden = {_name(name) for name in whiteouts}
        rows_read.append((_owner(owner), read, hidden, _flag(opaque), _flag(real)))
    if sorted(numbers) != list(range(1, len(rows_read))):
        raise ValueError("a directory is in none, or in two")
    return rows_read


def _node(entry: object, leaves: list[Leaf]) -> Leaf | Stored | Gap | int:
    match entry:
        case str():
            return Gap(entry)
        case [number]:
            return leaves[_number(number)]
        case [contents, meta]:
            return Stored(_checksum(contents), _checksum(meta))
        case _:
            return _number(entry)


def _owner(value: list[Any] | None) -> Owner | None:
    if value is None:
        return None
    mode, uid, gid, xattrs = value
    if _number(mode) > 0o7777:
        raise ValueError("the mode has other bits than permissions")
    named = tuple((_bytes(name), _bytes(data)) for name, data in xattrs)
    return Owner(mode, _number(uid), _number(gid), named)


def _name(text: object) -> bytes:
    (name,) = components(_bytes(text))
    if b"\0" in name:
        raise ValueError("a name has a NUL")
    return name


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("a name is no text")
    return text.encode("latin-1")


def _checksum(text: object) -> str:
    if not isinstance(text, str) or not _CHECKSUM.fullmatch(text):
        raise ValueError("a checksum is malformed")
    return text


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX:
        raise ValueError("a number is out of its range")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a flag is neither true nor false")
    return value
