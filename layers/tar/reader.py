"""Read a tar as a stream of entries.

Python's tarfile stops silently at a broken header or a stray zero block, and leaves the rest
unread. This reader reads a tar to its last byte, or refuses it.

The end of a tar is two zero blocks (POSIX pax(1)). Layers without them, or with one, exist, and all
container tools read them, as Go's archive/tar does. The digest and the diffID rule out that a layer
was cut short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from layers.chunks import Buffer
from layers.entry import Entry, Kind
from layers.errors import LayerError
from layers.limits import TOO_LARGE, Limits
from layers.tar.header import BLOCK, ZERO_BLOCK, Header, kind_of, parse_header, plain_owner
from layers.tar.pax import Pax, check_global, parse_records
from layers.tar.sparse import SparseMap, check_map, expanded, old_gnu_map, pax_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.chunks import Chunks
    from layers.tar.recorder import Recorder

# Go's archive/tar reads at most 1 MiB of an extended header (maxSpecialFileSize).
MAX_EXTENDED = 1 << 20
_EXTENDED_FLAGS = (b"x", b"X", b"g", b"L", b"K")


class _Extended(NamedTuple):
    """The extended headers before an entry."""

    pax: Pax = Pax()
    path: bytes = b""
    link: bytes = b""


_NOTHING = _Extended()


class TarReader:
    """Iterate over a tar's entries, in the dialects v7, ustar, PAX, GNU and star.

    `content()` and `whole()` give the current file's content. Unread content is skipped and
    recorded as raw bytes. Raise LayerError, with the entry's path if it is known, if the tar is
    malformed or incomplete.
    """

    def __init__(self, chunks: Chunks, recorder: Recorder, max_holes: int = Limits().size) -> None:
        """Read from `chunks`. `max_holes` bounds all holes of sparse files together, in bytes."""
        self._buffer = Buffer(chunks)
        self._recorder = recorder
        self._path = b""
        self._unread = 0  # stored bytes of the current entry that are still in the buffer
        self._padding = 0
        self._taken = False
        self._sparse: SparseMap | None = None
        self._holes = max_holes

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry; then record the bytes behind the end marker."""
        extended = _NOTHING
        while (header := self._next_header()) is not None:
            if header.typeflag in _EXTENDED_FLAGS:
                extended = self._extend(header, extended)
                continue
            yield self._begin(header, extended)
            self._pass_over()
            extended = _NOTHING
        if extended is not _NOTHING:
            raise LayerError("tar ends between an extended header and its entry")
        for piece in self._buffer.rest():
            self._recorder.raw(piece)

    def content(self) -> Chunks:
        """Yield the current file's content, `size` bytes in pieces. It must be read to its end."""
        self._taken = True
        if self._sparse is None:
            return self._file_pieces()
        return expanded(self._sparse, self._raw_pieces)

    def whole(self) -> bytes:
        """Return the current file's content in one piece, if the file is known to be small."""
        if self._sparse is not None:
            return b"".join(self.content())
        self._taken = True
        size, recorder = self._unread, self._recorder
        data = self._buffer.take(size)
        if len(data) < size:
            raise self._cut_short(size - len(data))
        recorder.begin_file(self._path, size)
        recorder.content(data)
        recorder.end_file()
        self._unread = 0
        return data

    def _next_header(self) -> Header | None:
        """Read the next entry's header. Return None at the end marker, whole, half or absent."""
        block = self._block_or_end()
        if block is None:
            return None
        if block != ZERO_BLOCK:
            return parse_header(block)
        if self._block_or_end() not in (None, ZERO_BLOCK):
            raise LayerError("tar has a single zero block where its end marker should be")
        return None

    def _block_or_end(self) -> bytes | None:
        """Read a block. Return None where the tar ends."""
        block = self._buffer.take(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise LayerError("tar was cut short: it ends within a block")
        self._recorder.raw(block)
        return block

    def _block(self) -> bytes:
        block = self._block_or_end()
        if block is None:
            raise LayerError("tar was cut short: it ends within an entry's headers")
        return block

    def _extend(self, header: Header, extended: _Extended) -> _Extended:
        if not 0 <= header.size <= MAX_EXTENDED:
            raise LayerError(f"extended tar header of {header.size} bytes")
        padded = header.size + -header.size % BLOCK
        data = self._buffer.take(padded)
        if len(data) < padded:
            raise LayerError("tar ends within an extended header")
        self._recorder.raw(data)
        data = data[: header.size]
        match header.typeflag:
            case b"x" | b"X":  # X is Solaris's letter for the same thing
                return extended._replace(pax=Pax(parse_records(data)))
            case b"L":
                return extended._replace(path=data.partition(b"\0")[0])
            case b"K":
                return extended._replace(link=data.partition(b"\0")[0])
        if extended is not _NOTHING:
            raise LayerError("global PAX header between an extended header and its entry")
        check_global(parse_records(data))
        return _NOTHING

    def _begin(self, header: Header, extended: _Extended) -> Entry:
        if extended is _NOTHING and header.typeflag != b"S":
            return self._begin_plain(header)
        pax = extended.pax
        path = pax.text(b"GNU.sparse.name", pax.text(b"path", extended.path or header.name))
        self._path, self._taken = path, False
        if extended.path not in (b"", path):
            # GNU tar takes the PAX name, Go the other one.
            raise LayerError("PAX and GNU headers give the entry two names", path=path)
        try:
            return self._read_entry(header, extended)
        except LayerError as error:
            raise error.within(path=path) from None

    def _begin_plain(self, header: Header) -> Entry:
        """Begin an entry without extended headers, as most entries are."""
        self._path, self._taken = header.name, False
        self._sparse, size = None, 0
        try:
            kind = kind_of(header, header.name)
            owner = plain_owner(header.mode, header.uid, header.gid)
            if kind is Kind.FILE:
                size = header.size
                if size < 0:
                    raise LayerError(f"file of {size} bytes")
        except LayerError as error:
            raise error.within(path=header.name) from None
        self._unread, self._padding = size, -size % BLOCK
        device = (header.major, header.minor)
        return Entry(header.name, kind, owner, size, header.link, device)

    def _read_entry(self, header: Header, extended: _Extended) -> Entry:
        kind = kind_of(header, self._path)
        pax = extended.pax
        self._sparse, self._unread, size = None, 0, 0
        if kind is Kind.FILE:  # POSIX gives only files a content; Go ignores others' size, too
            self._unread = size = pax.number(b"size", header.size)
            if size < 0:
                raise LayerError(f"file of {size} bytes")
            self._padding = -size % BLOCK
            self._sparse = self._sparse_map(header, pax)
        elif pax.sparse:
            raise LayerError("sparse map of something that is no file")
        link = pax.text(b"linkpath", extended.link or header.link)
        if extended.link not in (b"", link):
            raise LayerError("PAX and GNU headers give the link two targets")
        uid, gid = pax.number(b"uid", header.uid), pax.number(b"gid", header.gid)
        owner = plain_owner(header.mode, uid, gid)._replace(xattrs=pax.xattrs())
        return Entry(
            self._path,
            kind,
            owner,
            self._sparse.size if self._sparse else size,
            link,
            (header.major, header.minor),
        )

    def _sparse_map(self, header: Header, pax: Pax) -> SparseMap | None:
        def take() -> bytes:
            self._unread -= BLOCK
            if self._unread < 0:
                raise LayerError("sparse map is longer than the file's data")
            return self._block()

        sparse = pax_map(pax, take)
        if header.typeflag == b"S":
            if sparse is not None:
                raise LayerError("PAX and GNU headers give the file two sparse maps")
            sparse = old_gnu_map(header.block, self._block)
        if sparse is not None:
            check_map(sparse, self._unread)
            self._holes -= sparse.size - self._unread
            if self._holes < 0:
                raise LayerError("sparse files unpack to too much", hint=TOO_LARGE)
        return sparse

    def _file_pieces(self) -> Chunks:
        self._recorder.begin_file(self._path, self._unread)
        for piece in self._pieces(self._unread):
            self._recorder.content(piece)
            yield piece
        self._recorder.end_file()

    def _raw_pieces(self, count: int) -> Chunks:
        for piece in self._pieces(count):
            self._recorder.raw(piece)
            yield piece

    def _pieces(self, count: int) -> Chunks:
        left = count
        for piece in self._buffer.pieces(count):
            left -= len(piece)
            self._unread -= len(piece)
            yield piece
        if left:
            raise self._cut_short(left)

    def _cut_short(self, missing: int) -> LayerError:
        return LayerError(f"tar ends {missing} bytes before the file does", path=self._path)

    def _pass_over(self) -> None:
        """Skip the entry's unread content, and the padding to a whole block."""
        if not self._taken:
            for _ in self._raw_pieces(self._unread):
                pass
        if self._unread:
            raise RuntimeError("the content of a tar entry was left half read")
        if self._padding:
            padding = self._buffer.take(self._padding)
            if len(padding) < self._padding:
                raise self._cut_short(self._padding - len(padding))
            self._recorder.raw(padding)
            self._padding = 0
