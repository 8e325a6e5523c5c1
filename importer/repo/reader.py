"""A repo that is read: refs, commits and objects."""

from __future__ import annotations

from itertools import chain
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.files.presence import is_directory, mode_of
from importer.files.sync import sync
from importer.repo.labels import label_of
from importer.repo.libostree import NO_PLACE, Gio, GLib, OSTree, faults
from importer.repo.values import (
    Commit,
    Message,
    RepoDirectory,
    StoredFile,
    from_be32,
    hex_of,
    object_content,
    read_xattrs,
)
from layers.entry import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.repo.values import ObjectKind
    from layers.chunks import Chunks

_TYPES: dict[ObjectKind, Any] = {
    "commit": OSTree.ObjectType.COMMIT,
    "dirtree": OSTree.ObjectType.DIR_TREE,
    "dirmeta": OSTree.ObjectType.DIR_META,
    "file": OSTree.ObjectType.FILE,
}
# By number (OstreeRepoMode in ostree-core.h): enums have no nicks in PyGObject 3.52 and later.
_MODES = ("bare", "archive", "bare-user", "bare-user-only", "bare-split-xattrs")
_SUFFIXES: dict[str, ObjectKind] = {
    ".commit": "commit",
    ".dirtree": "dirtree",
    ".dirmeta": "dirmeta",
    ".file": "file",
    ".filez": "file",
}
_OWN_REFS = (
    OSTree.RepoListRefsExtFlags.EXCLUDE_REMOTES | OSTree.RepoListRefsExtFlags.EXCLUDE_MIRRORS
)


class RepoReader:
    """An ostree repo's refs, commits and objects.

    `handle` is libostree's own, for the modules that reach it through importer/repo/libostree.py.
    """

    def __init__(self, path: Path, handle: OSTree.Repo) -> None:
        self.path = path
        self.handle = handle
        self.mode = _MODES[int(handle.get_mode())]
        self._sizes: dict[str, int] = {}

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
        with faults(f"reading ref {ref}"):
            try:
                _, refs = self.handle.list_refs_ext(ref, _OWN_REFS, None)
            except GLib.Error as error:
                # Refs are files: with a ref `os` there is no `os/images`.
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_DIRECTORY):
                    raise
                refs = {}
        checksum: str | None = refs.get(ref)
        return checksum

    def check_place(self, ref: str) -> None:
        """Raise ImporterError if a ref below or above this one makes it impossible.

        Only these refs are read: a repo may have very many.
        """
        heads = self.path / "refs/heads"
        parents = [str(parent) for parent in PurePosixPath(ref).parents]
        others = [parent for parent in parents if S_ISREG(mode_of(heads / parent) or 0)]
        if is_directory(heads / ref):
            with faults(f"reading refs {ref}"):
                _, below = self.handle.list_refs_ext(ref, _OWN_REFS, None)
            others += sorted(below)
        if others:
            raise ImporterError(f"no branch {ref} can be beside branch {others[0]}", hint=NO_PLACE)

    def revision(self, text: str) -> str | None:
        """Return the commit that a ref, `REMOTE:REF`, checksum or `REF^` names, or None."""
        with faults(f"looking for commit {text}"):
            _, checksum = self.handle.resolve_rev(text, True)
        return str(checksum) if checksum else None

    def commit(self, checksum: str) -> Commit:
        with faults(f"reading commit {checksum}"):
            _, variant, state = self.handle.load_commit(checksum)
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

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref that this run has seen. Raise ImporterError if the ref is
        gone."""
        checksum = self.resolve(ref)
        if checksum is None:
            raise ImporterError(f"branch {ref} was deleted during the import", hint="run it again")
        return self.commit(checksum)

    def root(self, commit: Commit) -> RepoDirectory:
        return RepoDirectory(self.handle, commit.contents, commit.meta)

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file's object in pieces."""
        return object_content(self.handle, checksum)

    def directory(self, contents: str, meta: str) -> RepoDirectory:
        return RepoDirectory(self.handle, contents, meta)

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
        uid, gid, mode = (from_be32(variant.get_child_value(n).get_uint32()) for n in range(3))
        return Owner(mode & 0o7777, uid, gid, read_xattrs(variant.get_child_value(3)))

    def is_labelled(self, commit: Commit) -> bool:
        """Return whether the commit's files have SELinux labels, as the root directory does."""
        return bool(label_of(self.dirmeta(commit.meta)))

    def exists(self, kind: ObjectKind, checksum: str) -> bool:
        with faults(f"looking for object {checksum}"):
            _, present = self.handle.has_object(_TYPES[kind], checksum, None)
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
        with faults(f"reading commit {checksum}"):
            _, variant, _ = self.handle.load_commit(checksum)
            parent = OSTree.commit_get_parent(variant)
        return str(parent) if parent else None

    def storage_size(self, kind: ObjectKind, checksum: str) -> int:
        """Return the bytes that an object takes in this repo, in an archive repo packed."""
        with faults(f"reading object {checksum}"):
            _, size = self.handle.query_object_storage_size(_TYPES[kind], checksum)
        return int(size)

    def commits(self) -> list[str]:
        """Return the checksums of all commits of the repo, of the refs and others."""
        return [checksum for kind, checksum, _ in self.objects() if kind == "commit"]

    def objects(self) -> Iterator[tuple[ObjectKind, str, int]]:
        """Yield every loose object of the repo: kind, checksum, and size on disk in bytes."""
        directories = (path for path in (self.path / "objects").iterdir() if len(path.name) == 2)
        for path in chain.from_iterable(map(Path.iterdir, directories)):
            if (kind := _SUFFIXES.get(path.suffix)) is not None:
                yield kind, path.parent.name + path.stem, path.lstat().st_size
