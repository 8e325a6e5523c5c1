"""A repo that is read: refs, commits and objects."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.presence import is_directory, mode_of
from importer.files.sync import sync
from importer.repo.libostree import NO_PLACE, Gio, GLib, OSTree, faults
from importer.repo.plain_repo import PlainRepo
from importer.repo.values import (
    Commit,
    Message,
    RepoDirectory,
    StoredFile,
    from_be32,
    hex_of,
    read_xattrs,
)
from layers.entry import Owner, label_of
from layers.ostree.objects import content_of

if TYPE_CHECKING:
    from importer.repo.values import ObjectKind
    from layers.chunks import Chunks

_TYPES: dict[ObjectKind, str] = {
    "commit": "COMMIT",
    "dirtree": "DIR_TREE",
    "dirmeta": "DIR_META",
    "file": "FILE",
}
# By number (OstreeRepoMode in ostree-core.h): enums have no nicks in PyGObject 3.52 and later.
_MODES = ("bare", "archive", "bare-user", "bare-user-only", "bare-split-xattrs")
_READ = 1 << 20


class RepoReader:
    """An ostree repo's refs, commits and objects.

    libostree is loaded for what `PlainRepo` leaves to it.
    """

    def __init__(self, path: Path) -> None:
        """Raise ImporterError if there is no repo at `path`."""
        self.path = path
        self._plain = PlainRepo.open(path)
        self._handle: OSTree.Repo | None = None
        self._opening = threading.Lock()
        self.mode = self._plain.mode if self._plain else _MODES[int(self.handle.get_mode())]
        self._sizes: dict[str, int] = {}

    @property
    def handle(self) -> OSTree.Repo:
        """Return libostree's own repo, for the modules that reach it through
        importer/repo/libostree.py."""
        with self._opening:
            if self._handle is None:
                handle = OSTree.Repo.new(Gio.File.new_for_path(str(self.path)))
                with faults(f"opening repo {self.path}"):
                    handle.open(None)
                self._handle = handle
        return self._handle

    def sync(self) -> None:
        """Sync the repo's file system, unless the repo's config has `fsync=false`."""
        if not self.handle.get_disable_fsync():
            with faults(f"syncing repo {self.path}"):
                sync(self.handle.get_dfd())

    def resolve(self, ref: str) -> str | None:
        """Return the commit that the ref names, None if there is no such ref of our own.

        Not by `resolve_rev`, which takes a name such as `feed` for the beginning of a
        checksum, and looks among the remotes' refs as well.
        """
        if self._plain is not None and (checksum := self._plain.ref(ref)) is not None:
            return checksum or None
        with faults(f"reading ref {ref}"):
            try:
                refs = self._refs_below(ref)
            except GLib.Error as error:
                # Refs are files: with a ref `os` there is no `os/images`.
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_DIRECTORY):
                    raise
                refs = {}
        return refs.get(ref)

    def _refs_below(self, ref: str) -> dict[str, str]:
        """Return the commits of our own refs of this name, or of a name that begins with REF/."""
        flags = OSTree.RepoListRefsExtFlags
        own = flags.EXCLUDE_REMOTES | flags.EXCLUDE_MIRRORS
        _, refs = self.handle.list_refs_ext(ref, own, None)
        return dict(refs)

    def check_place(self, ref: str) -> None:
        """Raise ImporterError if a ref below or above this one makes it impossible.

        Only these refs are read: a repo may have very many.
        """
        heads = self.path / "refs/heads"
        parents = [str(parent) for parent in PurePosixPath(ref).parents]
        others = [parent for parent in parents if S_ISREG(mode_of(heads / parent) or 0)]
        if is_directory(heads / ref):
            with faults(f"reading refs {ref}"):
                others += sorted(self._refs_below(ref))
        if others:
            raise ImporterError(f"no branch {ref} can be beside branch {others[0]}", hint=NO_PLACE)

    def revision(self, text: str) -> str | None:
        """Return the commit that a ref, `REMOTE:REF`, checksum or `REF^` names, or None."""
        with faults(f"looking for commit {text}"):
            _, checksum = self.handle.resolve_rev(text, True)
        return str(checksum) if checksum else None

    def commit(self, checksum: str) -> Commit:
        plain = self._plain.commit(checksum) if self._plain is not None else None
        if plain is not None:
            message = Message(plain.subject, plain.time, plain.body, tuple(sorted(plain.metadata)))
            return Commit(checksum, *plain.root, message, dict(plain.metadata), partial=False)
        with faults(f"reading commit {checksum}"):
            _, variant, state = self.handle.load_commit(checksum)
        _intact("commit", checksum, variant)
        metadata = variant.get_child_value(0).unpack()
        text = tuple(sorted((k, v) for k, v in metadata.items() if isinstance(v, str)))
        message = Message(
            variant.get_child_value(3).get_string(),
            OSTree.commit_get_timestamp(variant),
            variant.get_child_value(4).get_string(),
            text if len(text) == len(metadata) else (),
        )
        partial = bool(state & OSTree.RepoCommitState.PARTIAL)
        return Commit(checksum, hex_of(variant, 6), hex_of(variant, 7), message, metadata, partial)

    def find_head(self, ref: str) -> Commit | None:
        checksum = self.resolve(ref)
        return self.commit(checksum) if checksum is not None else None

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref that this run has seen. Raise ImporterError if the ref is
        gone."""
        head = self.find_head(ref)
        if head is None:
            raise ImporterError(f"branch {ref} was deleted during the import", hint="run it again")
        return head

    def root(self, commit: Commit) -> RepoDirectory:
        return RepoDirectory(self, commit.contents, commit.meta)

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file's object in pieces."""
        data = self._plain.content(checksum) if self._plain is not None else None
        if data is not None:
            yield from [data] if data else []
            return
        with faults(f"reading object {checksum}"):
            _, stream, _, _ = self.handle.load_file(checksum, None)
            if stream is None:
                raise ImporterError(f"object {checksum} is a symlink, not a file")
            while piece := bytes(stream.read_bytes(_READ, None).get_data()):
                yield piece

    def intact(self, file: StoredFile) -> Chunks:
        """Yield a file's content, which goes where its checksum does not. Raise ImporterError at
        the end if the object is damaged."""
        hasher = sha256(content_of(file.owner, b"").header)
        for piece in self.content(file.checksum) if file.size else ():
            hasher.update(piece)
            yield piece
        _check("object", file.checksum, hasher.hexdigest())

    def directory(self, contents: str, meta: str) -> RepoDirectory:
        return RepoDirectory(self, contents, meta)

    def dirtree(self, checksum: str) -> bytes:
        data = self._plain.metadata("dirtree", checksum) if self._plain is not None else None
        if data is not None:
            return data
        with faults(f"reading directory {checksum}"):
            _, variant = self.handle.load_variant(OSTree.ObjectType.DIR_TREE, checksum)
        return _intact("dirtree", checksum, variant)

    def file(self, checksum: str) -> StoredFile:
        """Return owner, size and symlink target of a file's object."""
        with faults(f"reading object {checksum}"):
            _, _, info, xattrs = self.handle.load_file(checksum)
        owner = Owner(
            info.get_attribute_uint32("unix::mode") & 0o7777,
            info.get_attribute_uint32("unix::uid"),
            info.get_attribute_uint32("unix::gid"),
            read_xattrs(xattrs),
        )
        is_link = info.get_file_type() == Gio.FileType.SYMBOLIC_LINK
        target = info.get_symlink_target() if is_link else None
        return StoredFile(checksum, owner, 0 if is_link else info.get_size(), target)

    def dirmeta(self, checksum: str) -> Owner:
        """Return the owner in a dirmeta object."""
        with faults(f"reading dirmeta {checksum}"):
            _, variant = self.handle.load_variant(OSTree.ObjectType.DIR_META, checksum)
        _intact("dirmeta", checksum, variant)
        uid, gid, mode = (from_be32(variant.get_child_value(n).get_uint32()) for n in range(3))
        return Owner(mode & 0o7777, uid, gid, read_xattrs(variant.get_child_value(3)))

    def is_labelled(self, commit: Commit) -> bool:
        """Return whether the commit's files have SELinux labels, as the root directory does."""
        return bool(label_of(self.dirmeta(commit.meta)))

    def exists(self, kind: ObjectKind, checksum: str) -> bool:
        if self._plain is not None and self._plain.has(kind, checksum):
            return True
        with faults(f"looking for object {checksum}"):
            _, present = self.handle.has_object(_object_type(kind), checksum, None)
        return bool(present)

    def file_size(self, checksum: str) -> int:
        """Return the size of a file's content in bytes, 0 for a symlink. Each is looked up once."""
        if checksum not in self._sizes:
            self._sizes[checksum] = self.file(checksum).size
        return self._sizes[checksum]

    def refs(self) -> dict[str, str]:
        """Return the commits of all refs, in order of the names; a remote's are REMOTE:NAME."""
        with faults(f"reading the refs of repo {self.path}"):
            _, refs = self.handle.list_refs(None)
        return dict(sorted(refs.items()))

    def parent(self, checksum: str) -> str | None:
        """Return the parent that a commit names; the repo need not have it."""
        if self._plain is not None and (commit := self._plain.commit(checksum)) is not None:
            return commit.parent or None
        with faults(f"reading commit {checksum}"):
            _, variant, _ = self.handle.load_commit(checksum)
            parent = OSTree.commit_get_parent(variant)
        return str(parent) if parent else None

    def storage_size(self, kind: ObjectKind, checksum: str) -> int:
        """Return the bytes that an object takes in this repo, in an archive repo packed."""
        with faults(f"reading object {checksum}"):
            _, size = self.handle.query_object_storage_size(_object_type(kind), checksum)
        return int(size)


def _intact(kind: str, checksum: str, variant: GLib.Variant) -> bytes:
    """Return an object's bytes. Raise ImporterError if it is damaged, which libostree ignores."""
    data = bytes(variant.get_data_as_bytes().get_data())
    _check(kind, checksum, sha256(data).hexdigest())
    return data


def _check(kind: str, checksum: str, found: str) -> None:
    if found != checksum:
        raise ImporterError(
            f"{kind} {checksum} is damaged", hint="`ostree fsck` names all damaged objects"
        )


def _object_type(kind: ObjectKind) -> OSTree.ObjectType:
    return getattr(OSTree.ObjectType, _TYPES[kind])
