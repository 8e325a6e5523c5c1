"""Sparse members: their headers and their data (GNU tar manual, "Sparse Formats")."""

from tests.tools.entry import Entry, Sparse
from tests.tools.header import BLOCK, base256, fits_octal, octal
from tests.tools.pax import Record

SPARSE_IN_HEADER = 4
SPARSE_IN_BLOCK = 21


def pad(data: bytes) -> bytes:
    """The data and zeros up to a whole block."""
    return data + bytes(-len(data) % BLOCK)


def region_map(sparse: Sparse) -> list[tuple[int, int]]:
    """(offset, length) of each region; a hole at the end is marked by an empty region there."""
    regions = [(offset, len(data)) for offset, data in sparse.regions]
    if sum(regions[-1] if regions else (0, 0)) < sparse.size:
        regions.append((sparse.size, 0))
    return regions


def stored(sparse: Sparse) -> bytes:
    """The regions' bytes, one after the other."""
    return b"".join(data for _, data in sparse.regions)


def _field(value: int) -> bytes:
    return octal(value, 12) if fits_octal(value, 12) else base256(value, 12)


def _pairs(regions: list[tuple[int, int]], slots: int) -> bytes:
    packed = b"".join(_field(offset) + _field(length) for offset, length in regions)
    return packed.ljust(slots * 24, b"\x00")


def gnu_extra(sparse: Sparse) -> bytes:
    """The old GNU header's part from offset 386: four regions, "is extended", the real size."""
    regions = region_map(sparse)
    extended = bytes([len(regions) > SPARSE_IN_HEADER])
    return _pairs(regions[:SPARSE_IN_HEADER], SPARSE_IN_HEADER) + extended + _field(sparse.size)


def gnu_extension(sparse: Sparse) -> bytes:
    """The blocks of further regions that follow an old GNU header."""
    rest, blocks = region_map(sparse)[SPARSE_IN_HEADER:], b""
    while rest:
        now, rest = rest[:SPARSE_IN_BLOCK], rest[SPARSE_IN_BLOCK:]
        blocks += (_pairs(now, SPARSE_IN_BLOCK) + bytes([bool(rest)])).ljust(BLOCK, b"\x00")
    return blocks


def stored_name(entry: Entry) -> bytes:
    """The name formats 0.1 and 1.0 put into the header, so that old readers do no harm."""
    folder, slash, name = entry.path.rpartition(b"/")
    return folder + slash + b"GNUSparseFile.0/" + name


def sparse_records(entry: Entry) -> list[Record]:
    """The PAX records that say what the data of a sparse member means."""
    sparse = entry.sparse
    if sparse is None or sparse.style == "gnu":
        return []
    if sparse.style == "1.0":
        return _records_1_0(entry, sparse)
    return _records_0(entry, sparse)


def _records_1_0(entry: Entry, sparse: Sparse) -> list[Record]:
    return [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", entry.path),
        (b"GNU.sparse.realsize", b"%d" % sparse.size),
    ]


def _records_0(entry: Entry, sparse: Sparse) -> list[Record]:
    regions = region_map(sparse)
    records = [
        (b"GNU.sparse.size", b"%d" % sparse.size),
        (b"GNU.sparse.numblocks", b"%d" % len(regions)),
    ]
    if sparse.style == "0.1":
        numbers = b",".join(b"%d,%d" % region for region in regions)
        return [*records, (b"GNU.sparse.name", entry.path), (b"GNU.sparse.map", numbers)]
    for offset, length in regions:
        records.append((b"GNU.sparse.offset", b"%d" % offset))
        records.append((b"GNU.sparse.numbytes", b"%d" % length))
    return records


def sparse_data(sparse: Sparse) -> bytes:
    """The member's data: in format 1.0 the map stands in front of it, padded to a block."""
    if sparse.style != "1.0":
        return stored(sparse)
    regions = region_map(sparse)
    lines = b"%d\n" % len(regions) + b"".join(b"%d\n%d\n" % region for region in regions)
    return pad(lines) + stored(sparse)
