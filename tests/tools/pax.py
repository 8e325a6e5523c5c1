"""PAX extended headers, as raw bytes."""

from collections.abc import Iterable

from tests.tools.entry import Entry

Record = tuple[bytes, bytes]


def pax_record(key: bytes, value: bytes) -> bytes:
    r"""One `LENGTH key=value\n`, whose length counts its own digits (POSIX pax(1))."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(b"%d" % length):
        length = len(body) + len(b"%d" % length)
    return b"%d" % length + body


def pax_records(records: Iterable[Record]) -> bytes:
    """The body of a PAX header."""
    return b"".join(pax_record(key, value) for key, value in records)


def pax_global(records: Iterable[Record]) -> Entry:
    """A global header ('g'), such as `git archive` writes one in front."""
    body = pax_records(records)
    return Entry(b"pax_global_header", "g", content=body, format="ustar")


def pax_header(entry: Entry, records: Iterable[Record]) -> Entry:
    """The 'x' member that precedes `entry`."""
    base = entry.path.rstrip(b"/").rpartition(b"/")[2]
    name = b"PaxHeaders.0/" + base[:80]
    return Entry(name, "x", content=pax_records(records), format="ustar")
