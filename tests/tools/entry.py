"""One member of a layer's tar, described down to the oddities a test may want."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Format = Literal["pax", "gnu", "ustar"]
SparseStyle = Literal["gnu", "0.0", "0.1", "1.0"]

#: Typeflags of POSIX.1-2017 pax(1) "ustar Interchange Format".
KINDS: Mapping[str, bytes] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}


@dataclass(frozen=True)
class Sparse:
    """A file with holes: `size` bytes of which only `regions` (offset, data) are stored.

    `gnu` is the old GNU type 'S'; the others are the PAX sparse formats of GNU tar's manual,
    appendix "Sparse Formats". Regions but the last should have whole blocks of 512 bytes, as
    GNU tar writes them: it reads each region from a block of its own, other readers do not.
    """

    style: SparseStyle
    size: int
    regions: tuple[tuple[int, bytes], ...]

    def expanded(self) -> bytes:
        """The contents a reader has to see."""
        whole = bytearray(self.size)
        for offset, data in self.regions:
            whole[offset : offset + len(data)] = data
        return bytes(whole)


@dataclass(frozen=True)
class Entry:
    """A tar member. What is not given has the value `docker build` would usually write.

    `kind` is a name of `KINDS`, or one character which is the typeflag itself. A `dir` has a
    slash added to its name, as every common writer does; kind "5" leaves the name alone.
    """

    path: bytes
    kind: str = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    content: bytes = b""
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)
    format: Format = "pax"
    uname: bytes = b""
    gname: bytes = b""
    # -- oddities --
    sparse: Sparse | None = None
    #: More PAX records, written after ours: in a PAX header the last one of a name counts.
    records: Sequence[tuple[bytes, bytes]] = ()
    #: All numbers of the header in base 256 (GNU), even small ones.
    base256: bool = False
    #: A long name or link target always by GNU 'L'/'K' (True) or never (False).
    gnu_long: bool | None = None
    #: Header fields by name, set to these raw bytes before the checksum is made.
    raw: Mapping[str, bytes] = field(default_factory=dict)
    bad_checksum: bool = False
    #: The size the header claims, when it should not be the content's.
    claimed_size: int | None = None
    #: Leave out the zeros that pad the content to 512 bytes.
    unpadded: bool = False

    @property
    def typeflag(self) -> bytes:
        """The header's typeflag byte."""
        if self.sparse and self.sparse.style == "gnu":
            return b"S"
        return KINDS.get(self.kind) or self.kind.encode("latin-1")

    @property
    def name(self) -> bytes:
        """The path as it is written in the tar."""
        if self.kind == "dir" and not self.path.endswith(b"/"):
            return self.path + b"/"
        return self.path


def whiteout(path: bytes) -> Entry:
    """The entry that hides `path`: an empty file `.wh.NAME` (OCI image-spec, layer.md)."""
    folder, slash, name = path.rpartition(b"/")
    return Entry(folder + slash + b".wh." + name, mode=0)


def opaque(path: bytes) -> Entry:
    """The entry that hides all that lower layers have in the directory `path`."""
    prefix = path.rstrip(b"/") + b"/" if path.strip(b"/") else b""
    return Entry(prefix + b".wh..wh..opq", mode=0)
