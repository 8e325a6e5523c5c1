"""Have libostree store objects, in repos whose files only libostree can write."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Literal

from importer.errors import ImporterError
from importer.repo.libostree import Gio, GLib, OSTree, faults
from layers.ostree.objects import content_of

if TYPE_CHECKING:
    from layers.chunks import Chunks
    from layers.entry import Owner

type MetaKind = Literal["dirtree", "dirmeta"]
_META = {"dirtree": ("DIR_TREE", "(a(say)a(sayay))"), "dirmeta": ("DIR_META", "(uuua(ayay))")}


class LibostreeObjects:
    """Writes objects of the current transaction, by the methods of `importer.workers.job.Store`."""

    def __init__(self, handle: OSTree.Repo, *, canonical: bool) -> None:
        """With `canonical`, refuse what a bare-user-only repo cannot hold."""
        self._handle = handle
        self._canonical = canonical

    def write_file(self, owner: Owner, content: bytes) -> str:
        return self._store(self._header(owner), content)

    def write_symlink(self, owner: Owner, target: str) -> str:
        # Linux gives every symlink the mode 0777.
        return self._store(self._header(owner._replace(mode=0o777), target), b"")

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file that comes in pieces.

        The content goes to libostree through a pipe, since `OstreeContentWriter` does not work in
        archive repos. libostree computes the checksum, which is not known in advance.
        """
        header = self._header(owner)
        source, sink = os.pipe()
        with ThreadPoolExecutor(1) as pool:
            stored = pool.submit(self._store_from_pipe, source, len(header) + size)
            # If the reader fails, the pipe breaks, and `result` raises the reader's error.
            with suppress(BrokenPipeError), os.fdopen(sink, "wb") as pipe:
                pipe.writelines(chain([header], chunks))
        return stored.result()

    def write_meta(self, kind: MetaKind, data: bytes) -> str:
        name, format_ = _META[kind]
        object_type = getattr(OSTree.ObjectType, name)
        variant = GLib.Variant.new_from_bytes(
            GLib.VariantType.new(format_), GLib.Bytes.new(data), False
        )
        _, checksum = self._handle.write_metadata(object_type, None, variant, None)
        return bytes(checksum).hex()

    def check(self, owner: Owner, *, symlink: bool = False) -> None:
        """Raise ImporterError for an owner or mode that the repo cannot hold.

        Source: ostree-core.c, `_ostree_validate_bareuseronly_mode`, and that a bare-user-only repo
        keeps neither owners nor xattrs (ostree.repo-config(5)).
        """
        plain = not (owner.uid or owner.gid or owner.xattrs)
        if not self._canonical or (plain and (symlink or not owner.mode & ~0o775)):
            return
        raise ImporterError(
            f"a bare-user-only repo cannot hold mode {owner.mode:04o}, owner"
            f" {owner.uid}:{owner.gid} and {len(owner.xattrs)} xattrs",
            hint="such a repo keeps no owners, setuid bits or xattrs; use bare-user or archive",
        )

    def _header(self, owner: Owner, target: str = "") -> bytes:
        self.check(owner, symlink=bool(target))
        return content_of(owner, target.encode()).header

    def _store(self, header: bytes, content: bytes) -> str:
        """Store a content object in one piece.

        libostree's own SHA-256 runs at a fifth of hashlib's speed, so the checksum is computed
        here and the object handed over as trusted.
        """
        data = header + content
        checksum = sha256(data).hexdigest()
        stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(data))
        with faults(f"writing object {checksum}"):
            self._handle.write_content_trusted(checksum, stream, len(data), None)
        return checksum

    def _store_from_pipe(self, source: int, length: int) -> str:
        """Store the object that comes through the pipe. Close the pipe's end even after an error,
        or the writer would wait for ever.

        PyGObject 3.58 deprecates Gio.UnixInputStream for a class that older ones lack, so the pipe
        is opened as a file.
        """
        with os.fdopen(source, "rb"), faults("writing a large object"):
            stream = Gio.File.new_for_path(f"/proc/self/fd/{source}").read(None)
            try:
                _, checksum = self._handle.write_content(None, stream, length, None)
            finally:
                stream.close(None)
        return bytes(checksum).hex()
