"""Objects of files and directories, as their checksums and the repo's modes take them."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.libostree import Gio, GLib, OSTree, faults
from importer.objectfile import Content
from importer.stored import bytes_of

if TYPE_CHECKING:
    from layers.digest import Hasher
    from layers.entry import Owner, Xattrs
    from layers.verify import Chunks

# A mode's file type bits.
FILE, SYMLINK, DIRECTORY = 0o100000, 0o120000, 0o040000


def content_of(owner: Owner, target: str) -> Content:
    """Of a symlink to the target, or of a file where there is none."""
    if target:
        return _content(owner._replace(mode=0o777), SYMLINK, target)
    return _content(owner, FILE, "")


@lru_cache(maxsize=4096)
def _content(owner: Owner, kind: int, target: str) -> Content:
    mode = kind | owner.mode
    numbers = (_be32(owner.uid), _be32(owner.gid), _be32(mode))
    meta = GLib.Variant.new_tuple(*(GLib.Variant("u", n) for n in numbers), xattrs_variant(owner))
    fields = (GLib.Variant("t", 0), *(GLib.Variant("u", n) for n in (*numbers, 0)))
    zheader = GLib.Variant.new_tuple(*fields, GLib.Variant("s", target), xattrs_variant(owner))
    return Content(
        content_header(owner, kind, target),
        mode,
        bytes(meta.get_data_as_bytes().get_data()),
        _framed(zheader),
        target.encode(),
    )


def _framed(variant: GLib.Variant) -> bytes:
    data = bytes(variant.get_data_as_bytes().get_data())
    return struct.pack(">II", len(data), 0) + data


def file_hasher(owner: Owner) -> Hasher:
    """What a file's checksum is made with: update it with the content."""
    return sha256(content_header(owner, FILE, ""))


def symlink_checksum(owner: Owner, target: str) -> str:
    """The checksum of a symlink's object."""
    return sha256(content_header(owner._replace(mode=0o777), SYMLINK, target)).hexdigest()


@lru_cache(maxsize=4096)
def content_header(owner: Owner, kind: int, target: str) -> bytes:
    """What a content object's checksum begins with, and its stream: libostree's file header.

    A be32 size, 4 zero bytes, then `(uuuusa(ayay))`: uid, gid, mode, rdev, target, xattrs,
    the numbers big-endian. Source: ostree-core.c, `_ostree_file_header_new`.
    """
    numbers = (_be32(owner.uid), _be32(owner.gid), _be32(kind | owner.mode), 0)
    values: tuple[Any, ...] = (*numbers, target, [])
    parts = GLib.Variant("(uuuusa(ayay))", values)
    if owner.xattrs:
        parts = GLib.Variant.new_tuple(
            *(parts.get_child_value(n) for n in range(5)), xattrs_variant(owner)
        )
    return _framed(parts)


def _be32(value: int) -> int:
    return int(struct.unpack("=I", struct.pack(">I", value))[0])


def from_be32(value: int) -> int:
    """A number as a GVariant of the repo has it, in the machine's own order."""
    return int(struct.unpack(">I", struct.pack("=I", value))[0])


def read_xattrs(variant: GLib.Variant) -> Xattrs:
    """The inverse of `xattrs_variant`."""
    pairs = (variant.get_child_value(n) for n in range(variant.n_children()))
    return tuple((bytes_of(pair, 0).rstrip(b"\0"), bytes_of(pair, 1)) for pair in pairs)


def xattrs_variant(owner: Owner) -> GLib.Variant:
    """Names end in a NUL, values do not; sorted, as libostree reads them from a disk."""
    return GLib.Variant("a(ayay)", [(name + b"\0", value) for name, value in owner.xattrs])


def dirmeta_variant(owner: Owner) -> GLib.Variant:
    """A directory's object, as libostree makes it."""
    info = Gio.FileInfo()
    info.set_file_type(Gio.FileType.DIRECTORY)
    info.set_attribute_uint32("unix::uid", owner.uid)
    info.set_attribute_uint32("unix::gid", owner.gid)
    info.set_attribute_uint32("unix::mode", DIRECTORY | owner.mode)
    return OSTree.create_directory_metadata(info, xattrs_variant(owner))


def check_canonical(owner: Owner, kind: int) -> None:
    """ImporterError for what a bare-user-only repo cannot hold.

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
    """Store a content object in one piece; its checksum.

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
    """Store a content object of `size` bytes that come in pieces; its checksum.

    It goes to libostree through a pipe, since `OstreeContentWriter` does not work in archive
    repos; libostree computes the checksum, which nobody can know yet.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(_store_from_pipe, repo, source, len(header) + size)
        # When the reader fails the pipe breaks, and `result` says why.
        with suppress(BrokenPipeError), os.fdopen(sink, "wb") as pipe:
            pipe.writelines(chain([header], chunks))
    return stored.result()


def _store_from_pipe(repo: OSTree.Repo, source: int, length: int) -> str:
    stream = Gio.UnixInputStream.new(source, True)
    try:
        with faults("writing a large object"):
            _, checksum = repo.write_content(None, stream, length, None)
    finally:
        stream.close(None)
    return bytes(checksum).hex()
