"""Find images of a store whose deleted files are there again.

Whiteouts do not show through a second overlay on /usr, such as systemd-sysext or an unlocked
deployment mounts; nor are they made where a commit is only mounted. Nothing reports an error then.

A device still has the names of deleted files in one place, a layer's tar-split record
`overlay-layers/<id>.tar-split.gz`: the headers of the layer's tar, in JSON lines
(github.com/vbatts/tar-split, tar/storage/entry.go).
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import zlib
from contextlib import suppress
from itertools import islice
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from importer.device.folder import Folder
from importer.device.lowers import lower_names, lower_tree
from importer.device.records import IMAGES, LAYERS, Chains, Recorded, recorded

_MARK = b".wh."
_OPAQUE = ".wh..wh..opq"
# The mark in base64 without the digits that depend on the bytes around it, for each of its three
# places.
_MARKS = [
    base64.b64encode(b"x" * before + _MARK)[-(-before * 8 // 6) : (before + 4) * 8 // 6]
    for before in range(3)
]
_HEADER = re.compile(rb"ustar[\0 ]")
_MAGIC, _BLOCK = 257, 512
_NAME, _CHECKSUM, _PREFIX = slice(0, 100), slice(148, 156), slice(345, 500)
_TYPE, _FILES = 156, b"0\0"
_PATH = b" path="
_UNPACKED_PIECE = 1 << 20
_LONGEST_LINE = 1 << 22
# Bytes, unpacked: some 350,000 entries. The rest is not read, nor are more lines and names.
_MOST_BYTES = 1 << 28
_MOST_LINES = 10_000
_MOST_NAMES = 100_000
# Deletions of one layer, and names in one opaque directory, that are looked up.
_MOST_LOOKUPS = 1000
_RECORD = "overlay-layers/{}.tar-split.gz"
_PIECE = 1 << 16


def returned_files(store: Folder) -> Iterator[Tuple[Recorded, str]]:
    """Yield each image with a path that one of its layers deletes, and that its containers see.

    End at the first deletion that holds: an overlay hides all whiteouts of a store, or none.
    """
    layers = Chains(recorded(store, [LAYERS]), frozenset())
    deleted: Dict[str, List[str]] = {}
    for image in recorded(store, [IMAGES]).values():
        stack = _Stack(store, image.top)
        for layer in layers.chain(image.top):
            if layer not in deleted:
                deleted[layer] = list(islice(_deleted(store, layer), _MOST_LOOKUPS))
            holds, path = stack.judged(layer, deleted[layer])
            if holds:
                return
            if path is not None:
                yield image, path
                break


class _Stack:
    """The trees that are mounted for an image, the nearest first."""

    def __init__(self, store: Folder, top: str) -> None:
        self._store = store
        lowers = (lower_tree(name, [store]) for name in lower_names(store, top) or ())
        self._trees = [f"overlay/{top}/diff", *(lower[1] for lower in lowers if lower)]

    def judged(self, layer: str, deleted: Iterable[str]) -> Tuple[bool, Optional[str]]:
        """Return whether a deletion of the layer holds, or else a path that is there again."""
        own = f"overlay/{layer}/diff"
        if own not in self._trees:
            return False, None
        above = self._trees.index(own)
        below = self._trees[above + 1 :]
        for path in self._paths(deleted, below):
            if not any(self._store.status(f"{tree}/{path}") for tree in below):
                continue
            seen = self._seen(path)
            if seen is None:
                return True, None
            if seen > above:
                return False, path
        return False, None

    def _paths(self, deleted: Iterable[str], below: Sequence[str]) -> Iterator[str]:
        """Yield the paths; in place of an opaque directory, what the trees have in it."""
        for path in deleted:
            if not path.endswith("/"):
                yield path
                continue
            for directory in (f"{tree}/{path}".rstrip("/") for tree in below):
                status = self._store.status(directory)
                if status and stat.S_ISDIR(status.st_mode):
                    names = self._store.names(directory)[:_MOST_LOOKUPS]
                    yield from (f"{path}{name}".lstrip("/") for name in names)

    def _seen(self, path: str) -> Optional[int]:
        """Look a path up as overlayfs does; return the number of the tree that has it.

        Directories merge, down to the first tree that has something else there.
        """
        *directories, name = path.split("/")
        merged = list(enumerate(self._trees))
        for directory in directories:
            inner = []
            for number, tree in merged:
                status = self._store.status(f"{tree}/{directory}")
                if status and not stat.S_ISDIR(status.st_mode):
                    break
                if status:
                    inner.append((number, f"{tree}/{directory}"))
            merged = inner
        for number, tree in merged:
            status = self._store.status(f"{tree}/{name}")
            if status:
                is_whiteout = stat.S_ISCHR(status.st_mode) and not status.st_rdev
                return None if is_whiteout else number
        return None


def _deleted(store: Folder, layer: str) -> Iterator[str]:
    with suppress(FileNotFoundError), store.file(_RECORD.format(layer)) as descriptor:
        yield from deletions(lambda: os.read(descriptor, _PIECE))


def deletions(read: Callable[[], bytes]) -> Iterator[str]:
    """Yield the paths that a layer deletes, while `read` gives pieces of its tar-split record.

    A path of an opaque directory ends with "/". End early at data that is no record.
    """
    names = (name for line in islice(_lines(read), _MOST_LINES) for name in _names(_payload(line)))
    for path in islice(names, _MOST_NAMES):
        *directories, name = [part for part in path.split(b"/") if part not in {b"", b"."}] or [b""]
        if not name.startswith(_MARK) or b".." in directories:
            continue
        directory = b"".join(part + b"/" for part in directories).decode("utf-8", "surrogateescape")
        text = name.decode("utf-8", "surrogateescape")
        if text == _OPAQUE:
            yield directory or "/"
        elif not text.startswith(".wh..wh.") and len(name) > len(_MARK):
            yield directory + text[len(_MARK) :]


def _lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the lines of the record that may name a whiteout."""
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    rest, left = b"", _MOST_BYTES
    try:
        for piece in iter(lambda: unpack.unconsumed_tail or read(), b""):
            data = rest + unpack.decompress(piece, _UNPACKED_PIECE)
            left -= len(data) - len(rest)
            block, end, rest = data.rpartition(b"\n")
            if end and _is_marked(block):
                yield from (line for line in block.split(b"\n") if _is_marked(line))
            if left < 0 or len(rest) > _LONGEST_LINE:
                return
    except zlib.error:
        return


def _is_marked(data: bytes) -> bool:
    return any(mark in data for mark in _MARKS)


def _payload(line: bytes) -> bytes:
    try:
        document = json.loads(line)
        text = document.get("payload") if isinstance(document, dict) else None
        return base64.b64decode(text) if isinstance(text, str) else b""
    except (ValueError, RecursionError):
        return b""


def _names(raw: bytes) -> Iterator[bytes]:
    """Yield the names in headers and in PAX records; b"" for a header of another type."""
    for magic in _HEADER.finditer(raw):
        header = raw[max(magic.start() - _MAGIC, 0) : magic.start() - _MAGIC + _BLOCK]
        yield _name(header) if len(header) == _BLOCK and _is_header(header) else b""
    for line in raw.split(b"\n") if _PATH in raw else ():
        yield line.partition(_PATH)[2]


def _name(header: bytes) -> bytes:
    name, prefix = (header[part].split(b"\0")[0] for part in (_NAME, _PREFIX))
    return prefix + b"/" + name if prefix and header[_MAGIC + 5] == 0 else name


def _is_header(header: bytes) -> bool:
    try:
        checksum = int(header[_CHECKSUM].strip(b" \0"), 8)
    except ValueError:
        return False
    summed = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    return checksum == summed and header[_TYPE] in _FILES
