"""eStargz layers, as BuildKit and ctr-remote make them.

Format: github.com/containerd/stargz-snapshotter docs/estargz.md, and estargz/estargz.go,
`appendTar`: BuildKit keeps the original tar whole ("lossless"), its end marker too, so that the
table of contents stands behind it; ctr-remote drops the marker.
"""

import gzip
import json
import struct
import zlib

from tests.tools.entry import Entry
from tests.tools.image import Packed
from tests.tools.layout import digest_of
from tests.tools.mediatype import OCI
from tests.tools.tarbuild import TRAILER, tar_bytes, tar_member

TOC = b"stargz.index.json"
#: The annotation of the layer's descriptor.
TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"


def estargz(entries: list[Entry], *, lossless: bool) -> Packed:
    """The layer: a gzip member an entry, one for the table, and the footer."""
    parts = [tar_member(entry) for entry in entries]
    if lossless:
        parts.append(TRAILER)
    table = tar_bytes([Entry(TOC, content=table_of(entries))])
    members = b"".join(gzip.compress(part, mtime=0) for part in parts)
    blob = members + gzip.compress(table, mtime=0) + footer(len(members))
    return Packed(b"".join(parts) + table, blob, OCI.of_layer("gzip"))


def annotation(entries: list[Entry]) -> dict[str, str]:
    """What the layer's descriptor has."""
    return {TOC_DIGEST: digest_of(table_of(entries))}


def table_of(entries: list[Entry]) -> bytes:
    """The table of contents."""
    listed = [
        {"name": entry.path.decode(), "type": "reg", "size": len(entry.content)}
        for entry in entries
    ]
    return json.dumps({"version": 1, "entries": listed}, indent="\t").encode()


def footer(offset: int) -> bytes:
    """An empty gzip member whose extra field says where the table begins."""
    said = b"%016xSTARGZ" % offset
    field = b"SG" + struct.pack("<H", len(said)) + said
    header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(field)) + field
    deflate = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    return header + deflate.compress(b"") + deflate.flush() + bytes(8)
