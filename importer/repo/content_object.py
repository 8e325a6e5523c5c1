"""Have libostree store objects of files and directories."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.libostree import Gio, GLib, OSTree, faults
from importer.repo.values import bytes_of
from layers.ostree.objects import DIRECTORY, SYMLINK

if TYPE_CHECKING:
    from layers.chunks import Chunks
    from layers.entry import Owner, Xattrs


def from_be32(value: int) -> int:
    """Return a big-endian number of the repo's GVariants in the machine's byte order."""
    return int(struct.unpack(">I", struct.pack("=I", value))[0])


def read_xattrs(variant: GLib.Variant) -> Xattrs:
    """Return the xattrs of a variant that `xattrs_variant` made."""
    pairs = (variant.get_child_value(n) for n in range(variant.n_children()))
    return tuple((bytes_of(pair, 0).rstrip(b"\0"), bytes_of(pair, 1)) for pair in pairs)


def xattrs_variant(owner: Owner) -> GLib.Variant:
    """Return the owner's xattrs as `a(ayay)`: names end in a NUL, values do not. They are sorted,
    as libostree reads them from a disk."""
    return GLib.Variant("a(ayay)", [(name + b"\0", value) for name, value in owner.xattrs])


def dirmeta_variant(owner: Owner) -> GLib.Variant:
    """Return a directory's dirmeta object, as libostree makes it."""
    info = Gio.FileInfo()
    info.set_file_type(Gio.FileType.DIRECTORY)
    info.set_attribute_uint32("unix::uid", owner.uid)
    info.set_attribute_uint32("unix::gid", owner.gid)
    info.set_attribute_uint32("unix::mode", DIRECTORY | owner.mode)
    return OSTree.create_directory_metadata(info, xattrs_variant(owner))


def check_canonical(owner: Owner, kind: int) -> None:
    """Raise ImporterError for an owner or mode that a bare-user-only repo cannot store.

    Source: ostree-core.c, `_ostree_validate_bareuseronly_mode`, and that such a repo
    keeps neither owners nor xattrs (ostree.repo-config(5)).
    """
    if owner.uid or owner.gid or owner.xattrs or (kind != SYMLINK and owner.mode & ~0o775):
        raise ImporterError(
            f"a bare-user-only repo cannot hold mode {owner.mode:04o}, owner"
            f" {owner.uid}:{owner.gid} and {len(owner.xattrs)} xattrs",
            hint="such a repo keeps no owners, setuid bits or xattrs; use bare-user or archive",
        )


def store_object(repo: OSTree.Repo, header: bytes, content: bytes) -> str:
    """Store a content object in one piece. Return its checksum.

    libostree's own SHA-256 runs at a fifth of hashlib's speed, so the checksum is computed
    here and the object handed over as trusted.
    """
    data = header + content
    checksum = sha256(data).hexdigest()
    stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(data))
    with faults(f"writing object {checksum}"):
        repo.write_content_trusted(checksum, stream, len(data), None)
    return checksum


def store_stream(repo: OSTree.Repo, header: bytes, size: int, chunks: Chunks) -> str:
    """Store a content object of `size` bytes that come in pieces. Return its checksum.

    The content goes to libostree through a pipe, since `OstreeContentWriter` does not work in
    archive repos. libostree computes the checksum, which is not known in advance.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(_store_from_pipe, repo, source, len(header) + size)
        # If the reader fails, the pipe breaks, and `result` raises the reader's error.
        with suppress(BrokenPipeError), os.fdopen(sink, "wb") as pipe:
            pipe.writelines(chain([header], chunks))
    return stored.result()


def _store_from_pipe(repo: OSTree.Repo, source: int, length: int) -> str:
    """Store what comes through the pipe. Close its end, whatever fails, or the writer would wait
    for ever.

    PyGObject 3.58 deprecates Gio.UnixInputStream for a class that older ones lack, so the pipe is
    opened as a file.
    """
    with os.fdopen(source, "rb"), faults("writing a large object"):
        stream = Gio.File.new_for_path(f"/proc/self/fd/{source}").read(None)
        try:
            _, checksum = repo.write_content(None, stream, length, None)
        finally:
            stream.close(None)
    return bytes(checksum).hex()
