"""The one door to libostree."""

from __future__ import annotations

import os
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import gi

gi.require_version("OSTree", "1.0")
from gi.repository import Gio, GLib, OSTree  # noqa: E402

from importer.errors import ImporterError  # noqa: E402
from importer.loose import LooseObjects  # noqa: E402
from importer.objectfile import FORMATS, Content  # noqa: E402
from layers.entry import Owner  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Protocol

    from importer.writers import Writers
    from layers.digest import Hasher
    from layers.entry import Xattrs
    from layers.verify import Chunks

    class StoredTree(Protocol):
        """What is known of a tree that the repo has: a Commit, or a RepoDirectory."""

        @property
        def contents(self) -> str: ...
        @property
        def meta(self) -> str: ...


type ObjectKind = Literal["commit", "dirtree", "dirmeta", "file"]
_TYPES: dict[ObjectKind, Any] = {
    "commit": OSTree.ObjectType.COMMIT,
    "dirtree": OSTree.ObjectType.DIR_TREE,
    "dirmeta": OSTree.ObjectType.DIR_META,
    "file": OSTree.ObjectType.FILE,
}

_SUFFIXES: dict[str, ObjectKind] = {
    ".commit": "commit",
    ".dirtree": "dirtree",
    ".dirmeta": "dirmeta",
    ".file": "file",
    ".filez": "file",
}
_FILE, _SYMLINK, _DIRECTORY = 0o100000, 0o120000, 0o040000
_READ = 1 << 20
_RACES = 10  # lost one after the other, before it is no race
_OWN_REFS = (
    OSTree.RepoListRefsExtFlags.EXCLUDE_REMOTES | OSTree.RepoListRefsExtFlags.EXCLUDE_MIRRORS
)
_OURS = ("import-image.", "import-release.")
_REF_BINDING = "ostree.ref-binding"
SELINUX = b"security.selinux"
_COMPOSEFS_DIGEST = "ostree.composefs.digest.v0"
# libostree can read bare-split-xattrs repos, but not write to them.
_WRITABLE_MODES = ("archive", "bare", "bare-user", "bare-user-only")


_NO_PLACE = "a branch cannot lie below another one; name one with --branch"


@contextmanager
def _faults(doing: str) -> Iterator[None]:
    """GLib's errors, and the system's, as ours: what was being done, what libostree said, and
    a hint."""
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise ImporterError(f"{doing}: {said}", hint=_hint(said)) from error
    except GLib.Error as error:
        said = (error.message or "unknown error").splitlines()[0]
        raise ImporterError(f"{doing}: {said}", hint=_hint(said)) from error


def _hint(said: str) -> str:
    if "opendir(objects)" in said or said in ("File exists", "Not a directory"):
        return "give --repo an ostree repo, or a path where there is nothing yet"
    if "refs/heads" in said or said.startswith("Conflict"):
        return _NO_PLACE
    if "min-free-space" in said or "No space left" in said:
        return (
            "the disk is full; free space, or see min-free-space-percent in ostree.repo-config(5)"
        )
    if "Permission denied" in said or "Read-only file system" in said:
        return "the repo must be writable for the user who imports"
    return ""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as the repo has it; `contents` and `meta` are its root's dirtree and dirmeta."""

    checksum: str
    contents: str
    meta: str
    message: Message
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many objects the repo had, how many of them are gone, and their size in bytes."""

    total: int
    objects: int
    size: int


@dataclass(frozen=True, slots=True)
class Base:
    """A commit that another is made from, and the branch that the new one is for."""

    commit: Commit
    branch: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a commit says beside its tree. All values are text: libostree writes integers of
    the metadata in the machine's own byte order, and the checksum would differ with it."""

    subject: str
    timestamp: int
    body: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file or symlink as the repo has it; `size` in bytes, `target` None for a file."""

    checksum: str
    owner: Owner
    size: int
    target: str | None


class Transaction:
    """A transaction that is under way."""

    def __init__(self) -> None:
        self.abandoned = False

    def abandon(self) -> None:
        """There is nothing to keep: end without a commit."""
        self.abandoned = True


class RepoDirectory:
    """A directory of a commit, read when it is looked at; a `layers.lower.TreeDirectory`."""

    def __init__(self, repo: OSTree.Repo, contents: str, meta: str) -> None:
        self._repo = repo
        self.contents = contents
        self.meta = meta

    @cached_property
    def leaves(self) -> Mapping[bytes, str]:
        files = self._variant.get_child_value(0)
        return dict(_named(files.get_child_value(n)) for n in range(files.n_children()))

    @cached_property
    def directories(self) -> Mapping[bytes, RepoDirectory]:
        found = self._variant.get_child_value(1)
        children = (found.get_child_value(n) for n in range(found.n_children()))
        return {
            _name(child): RepoDirectory(self._repo, _hex(child, 1), _hex(child, 2))
            for child in children
        }

    @cached_property
    def _variant(self) -> GLib.Variant:
        with _faults(f"reading directory {self.contents}"):
            _, variant = self._repo.load_variant(OSTree.ObjectType.DIR_TREE, self.contents)
        return variant

    def find(self, path: str) -> RepoDirectory | None:
        """The directory at this relative path."""
        node: RepoDirectory | None = self
        for name in Path(path).parts:
            node = node.directories.get(name.encode()) if node else None
        return node

    def read(self, name: str) -> bytes | None:
        """The content of the file of this name, or None if there is none."""
        checksum = self.leaves.get(name.encode())
        if checksum is None:
            return None
        return b"".join(_object_content(self._repo, checksum))


def _object_content(repo: OSTree.Repo, checksum: str) -> Chunks:
    with _faults(f"reading object {checksum}"):
        _, stream, _, _ = repo.load_file(checksum, None)
        while piece := bytes(stream.read_bytes(_READ, None).get_data()):
            yield piece


def _entries(metadata: GLib.Variant) -> dict[str, GLib.Variant]:
    """The values of an `a{sv}`, as they are, in their order."""
    children = (metadata.get_child_value(n) for n in range(metadata.n_children()))
    return {
        child.get_child_value(0).get_string(): child.get_child_value(1).get_variant()
        for child in children
    }


def _name(child: GLib.Variant) -> bytes:
    name: str = child.get_child_value(0).get_string()
    return name.encode()


def _named(child: GLib.Variant) -> tuple[bytes, str]:
    return _name(child), _hex(child, 1)


def _hex(child: GLib.Variant, at: int) -> str:
    return _bytes(child, at).hex()


def _bytes(child: GLib.Variant, at: int) -> bytes:
    return bytes(child.get_child_value(at).get_data_as_bytes().get_data())


class Repo:
    """An ostree repo. One instance holds one transaction at a time; `again` opens another."""

    def __init__(self, path: Path, repo: OSTree.Repo, writers: Writers | None = None) -> None:
        self.path = path
        self._repo = repo
        self._writers = writers
        self.mode = repo.get_mode().value_nick.replace("_", "-")
        self._dirmetas: dict[Owner, str] = {}
        self._loose: LooseObjects | None = None
        self._loose_lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        # What this instance's transactions added to the repo's files, as the repo keeps them.
        self.written_bytes = 0

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Repo:
        """The repo at `path`, made there in bare-user mode if `create` and nothing is there."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        with _faults(f"opening repo {path}"):
            begun = [entry.name for entry in path.iterdir()] if path.is_dir() else []
            absent = not begun if path.exists() else True
        # libostree makes the config first and `objects` last; `create` makes what is missing.
        if create and (absent or ("config" in begun and "objects" not in begun)):
            with _faults(f"creating repo {path}"):
                path.mkdir(parents=True, exist_ok=True)
                repo.create(OSTree.RepoMode.BARE_USER, None)
        with _faults(f"opening repo {path}"):
            repo.open(None)
        return cls(path, repo)

    def again(self, writers: Writers | None = None) -> Repo:
        """The same repo once more, for a transaction of its own; with processes that write
        files where there are many."""
        own = Repo.open(self.path)
        own._writers = writers
        return own

    def check_writable(self) -> None:
        """ImporterError if this user cannot write to the repo, or not what images hold."""
        with _faults(f"repo {self.path}"):
            self._repo.is_writable()
        if self.mode not in _WRITABLE_MODES:
            raise ImporterError(f"repos of mode {self.mode} cannot be written to")
        if self.mode == "bare" and os.geteuid() != 0:
            raise ImporterError(
                f"{self.path} is a bare repo, which holds files with their real owners",
                hint="run as root, or use a bare-user or archive repo",
            )

    # --- looking ---

    def resolve(self, ref: str) -> str | None:
        """The commit that the ref names, or None if there is no such ref of our own.

        Not by `resolve_rev`, which takes a name such as `feed` for the beginning of a
        checksum, and looks among the remotes' refs as well.
        """
        with _faults(f"reading ref {ref}"):
            try:
                _, refs = self._repo.list_refs_ext(ref, _OWN_REFS, None)
            except GLib.Error as error:
                # Refs are files: with a ref `os` there is no `os/images`.
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_DIRECTORY):
                    raise
                refs = {}
        checksum: str | None = refs.get(ref)
        return checksum

    def check_place(self, ref: str) -> None:
        """ImporterError if there can be no such ref, since another lies below it or above it.

        Of a repo with very many refs only those are looked at.
        """
        heads = self.path / "refs/heads"
        parents = [str(parent) for parent in PurePosixPath(ref).parents]
        others = [parent for parent in parents if (heads / parent).is_file()]
        if (heads / ref).is_dir():
            with _faults(f"reading refs {ref}"):
                _, below = self._repo.list_refs_ext(ref, _OWN_REFS, None)
            others += sorted(below)
        if others:
            raise ImporterError(f"no branch {ref} can be beside branch {others[0]}", hint=_NO_PLACE)

    def revision(self, text: str) -> str | None:
        """The commit that a ref, `REMOTE:REF`, checksum or `REF^` means, or None."""
        with _faults(f"looking for commit {text}"):
            _, checksum = self._repo.resolve_rev(text, True)
        return str(checksum) if checksum else None

    def commit(self, checksum: str) -> Commit:
        """A commit's own data."""
        with _faults(f"reading commit {checksum}"):
            _, variant, _ = self._repo.load_commit(checksum)
        metadata = variant.get_child_value(0).unpack()
        text = tuple(sorted((k, v) for k, v in metadata.items() if isinstance(v, str)))
        message = Message(
            variant.get_child_value(3).get_string(),
            OSTree.commit_get_timestamp(variant),
            variant.get_child_value(4).get_string(),
            text if len(text) == len(metadata) else (),
        )
        return Commit(checksum, _hex(variant, 6), _hex(variant, 7), message, metadata)

    def head(self, ref: str) -> Commit:
        """The commit of a ref that this run has seen or set; ImporterError if it is gone."""
        checksum = self.resolve(ref)
        if checksum is None:
            raise ImporterError(f"branch {ref} went away during the import")
        return self.commit(checksum)

    def root(self, commit: Commit) -> RepoDirectory:
        """The root directory of a commit."""
        return RepoDirectory(self._repo, commit.contents, commit.meta)

    def content(self, checksum: str) -> Chunks:
        """The content of a file's object, in pieces."""
        if self._loose is not None and self._loose.has_written(checksum):
            return self._loose.read(checksum)
        return _object_content(self._repo, checksum)

    def directory(self, contents: str, meta: str) -> RepoDirectory:
        """A directory by its dirtree's and dirmeta's checksums."""
        return RepoDirectory(self._repo, contents, meta)

    def file(self, checksum: str) -> StoredFile:
        """What a file's object says beside its content."""
        with _faults(f"reading object {checksum}"):
            _, _, info, xattrs = self._repo.load_file(checksum)
        owner = Owner(
            info.get_attribute_uint32("unix::mode") & 0o7777,
            info.get_attribute_uint32("unix::uid"),
            info.get_attribute_uint32("unix::gid"),
            _read_xattrs(xattrs),
        )
        is_link = info.get_file_type() == Gio.FileType.SYMBOLIC_LINK
        target = info.get_symlink_target() if is_link else None
        return StoredFile(checksum, owner, 0 if is_link else info.get_size(), target)

    def dirmeta(self, checksum: str) -> Owner:
        """What a dirmeta object says."""
        with _faults(f"reading dirmeta {checksum}"):
            _, variant = self._repo.load_variant(OSTree.ObjectType.DIR_META, checksum)
        uid, gid, mode = (_from_be32(variant.get_child_value(n).get_uint32()) for n in range(3))
        return Owner(mode & 0o7777, uid, gid, _read_xattrs(variant.get_child_value(3)))

    def is_labelled(self, commit: Commit) -> bool:
        """Whether the commit's files have SELinux labels, as the root directory does."""
        return any(name == SELINUX for name, _ in self.dirmeta(commit.meta).xattrs)

    def exists(self, kind: ObjectKind, checksum: str) -> bool:
        """Whether the repo has the object."""
        with _faults(f"looking for object {checksum}"):
            _, found = self._repo.has_object(_TYPES[kind], checksum, None)
        return bool(found)

    def file_size(self, checksum: str) -> int:
        """The size of a file's content in bytes, 0 for a symlink; each is looked up once."""
        if checksum not in self._sizes:
            self._sizes[checksum] = self.file(checksum).size
        return self._sizes[checksum]

    def refs(self) -> dict[str, str]:
        """All refs in order of their names, those of remotes as REMOTE:NAME; their commits."""
        with _faults(f"reading the refs of repo {self.path}"):
            _, found = self._repo.list_refs(None)
        return dict(sorted(found.items()))

    def parent(self, checksum: str) -> str | None:
        """The parent that a commit names; the repo need not have it."""
        with _faults(f"reading commit {checksum}"):
            _, variant, _ = self._repo.load_commit(checksum)
            parent = OSTree.commit_get_parent(variant)
        return str(parent) if parent else None

    def storage_size(self, kind: ObjectKind, checksum: str) -> int:
        """The bytes that an object takes in this repo; in an archive repo, those of a download."""
        with _faults(f"reading object {checksum}"):
            _, size = self._repo.query_object_storage_size(_TYPES[kind], checksum)
        return int(size)

    # --- writing ---

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep `ostree prune` out, also between transactions, where what one has written
        and the next will name belongs to no ref yet."""
        with _faults(f"locking repo {self.path}"):
            self._repo.lock_push(OSTree.RepoLockType.SHARED, None)
        try:
            yield
        finally:
            self._repo.lock_pop(OSTree.RepoLockType.SHARED, None)

    @contextmanager
    def locked_alone(self) -> Iterator[None]:
        """Keep everybody else out: waits for imports that are under way, for as long as the
        repo's lock-timeout-secs say; see ostree.repo-config(5)."""
        try:
            with _faults(f"locking repo {self.path} exclusively"):
                self._repo.lock_push(OSTree.RepoLockType.EXCLUSIVE, None)
        except ImporterError as error:
            hint = "an import or another program uses the repo; try again when it is done"
            raise error.within(hint=hint) from None
        try:
            yield
        finally:
            self._repo.lock_pop(OSTree.RepoLockType.EXCLUSIVE, None)

    def prune(self, keep: int | None) -> Pruned:
        """Delete every object that no ref needs; of each ref's ancestors `keep` commits, the
        head being the first, or all. Static deltas of commits that are gone go as well."""
        depth = -1 if keep is None else keep - 1
        with _faults("deleting what no ref needs"):
            _, total, count, size = self._repo.prune(OSTree.RepoPruneFlags.REFS_ONLY, depth, None)
        return Pruned(total, count, size)

    def objects(self) -> Iterator[tuple[ObjectKind, str, int]]:
        """Every loose object of the repo: kind, checksum, and its size on disk in bytes."""
        for path in (self.path / "objects").glob("??/*"):
            kind = _SUFFIXES.get(path.suffix)
            if kind is not None:
                yield kind, path.parent.name + path.stem, path.lstat().st_size

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end, abort on any error; several threads may write meanwhile.

        Files are moved into place after libostree has synced the disk, so a commit that
        names them has to be written in a later transaction.
        """
        with _faults(f"preparing to write to repo {self.path}"):
            self._prepare()
        transaction = Transaction()
        committed = False
        try:
            yield transaction
            if not transaction.abandoned:
                with _faults("committing the transaction"):
                    _, stats = self._repo.commit_transaction(None)
                committed = True
                self.written_bytes += stats.content_bytes_written
                if self._loose is not None:
                    with _faults("moving files into the repo"):
                        self._loose.publish()
                    self.written_bytes += self._loose.written_bytes
        finally:
            if not committed:
                with _faults("aborting the transaction"):
                    self._repo.abort_transaction(None)
            if self._loose is not None:
                self._loose.close()
                self._loose = None

    def _prepare(self) -> None:
        """Begin a transaction, though others begin and end: one of them may take over the
        directory that is being made for this one, and remove it again (ostree-repo.c,
        `_ostree_repo_allocate_tmpdir`), which libostree takes for an error."""
        for _ in range(_RACES):
            try:
                self._repo.prepare_transaction(None)
            except GLib.Error as error:
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND):
                    raise
            else:
                return
        self._repo.prepare_transaction(None)

    def write_file(self, owner: Owner, content: bytes) -> str:
        """Store a file, the content in one piece; its checksum."""
        loose = self._loose_objects()
        if loose is not None:
            with _faults("writing a file"):
                return loose.write(_of(owner, ""), content)
        return self._write_object(self._header(owner, _FILE, ""), content)

    def write_symlink(self, owner: Owner, target: str) -> str:
        """Store a symlink; its checksum. Linux gives every symlink the mode 0777."""
        loose = self._loose_objects()
        if loose is not None:
            with _faults("writing a symlink"):
                return loose.write(_of(owner, target), b"")
        owner = owner._replace(mode=0o777)
        return self._write_object(self._header(owner, _SYMLINK, target), b"")

    def write_files(self, files: Sequence[tuple[Owner, str, bytes]]) -> list[str]:
        """Store symlinks, which have a target, and files, which have none; their checksums."""
        loose = self._loose_objects()
        if loose is None:
            return [
                self.write_symlink(owner, target) if target else self.write_file(owner, content)
                for owner, target, content in files
            ]
        with _faults("writing files"):
            return loose.write_all([(_of(*one[:2]), one[2]) for one in files])

    def _loose_objects(self) -> LooseObjects | None:
        """Where this repo's mode allows it, the faster way to write files."""
        if self.mode not in FORMATS:
            return None
        with self._loose_lock:
            if self._loose is None:
                with _faults(f"writing to repo {self.path}"):
                    _, reserved = self._repo.get_min_free_space_bytes()
                    free = os.statvfs(self.path)
                    budget = free.f_bavail * free.f_frsize - reserved
                    self._loose = LooseObjects(self.path, self.mode, budget, self._writers)
        return self._loose

    def _write_object(self, header: bytes, content: bytes) -> str:
        # libostree's own SHA-256 runs at a fifth of hashlib's speed, so the checksum is
        # computed here and the object handed over as trusted.
        data = header + content
        checksum = sha256(data).hexdigest()
        stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(data))
        with _faults(f"writing object {checksum}"):
            self._repo.write_content_trusted(checksum, stream, len(data), None)
        return checksum

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file of `size` bytes that come in pieces; its checksum.

        The object goes to libostree through a pipe, since `OstreeContentWriter` does not
        work in archive repos; libostree computes the checksum, which nobody can know yet.
        """
        loose = self._loose_objects()
        if loose is not None:
            with _faults("writing a large file"):
                return loose.write_large(_of(owner, ""), size, chunks)
        header = self._header(owner, _FILE, "")
        source, sink = os.pipe()
        with ThreadPoolExecutor(1) as pool:
            stored = pool.submit(self._write_from_pipe, source, len(header) + size)
            # When the reader fails the pipe breaks, and `result` says why.
            with suppress(BrokenPipeError), os.fdopen(sink, "wb") as pipe:
                pipe.writelines(chain([header], chunks))
        return stored.result()

    def _write_from_pipe(self, source: int, length: int) -> str:
        stream = Gio.UnixInputStream.new(source, True)
        try:
            with _faults("writing a large object"):
                _, checksum = self._repo.write_content(None, stream, length, None)
        finally:
            stream.close(None)
        return bytes(checksum).hex()

    def _header(self, owner: Owner, kind: int, target: str) -> bytes:
        if self.mode == "bare-user-only":
            _check_canonical(owner, kind)
        return _content_header(owner, kind, target)

    def write_dirmeta(self, owner: Owner) -> str:
        """Store a directory's mode, owner and xattrs; the checksum of its dirmeta object."""
        if owner not in self._dirmetas:
            if self.mode == "bare-user-only":
                _check_canonical(owner, _DIRECTORY)
            info = Gio.FileInfo()
            info.set_file_type(Gio.FileType.DIRECTORY)
            info.set_attribute_uint32("unix::uid", owner.uid)
            info.set_attribute_uint32("unix::gid", owner.gid)
            info.set_attribute_uint32("unix::mode", _DIRECTORY | owner.mode)
            variant = OSTree.create_directory_metadata(info, _xattrs(owner))
            with _faults("writing a dirmeta object"):
                _, checksum = self._repo.write_metadata(
                    OSTree.ObjectType.DIR_META, None, variant, None
                )
            self._dirmetas[owner] = bytes(checksum).hex()
        return self._dirmetas[owner]

    def tree(self, owner: Owner | str) -> Tree:
        """An empty root directory for a commit."""
        return Tree(self, OSTree.MutableTree.new(), owner)

    def tree_of(self, stored: StoredTree) -> Tree:
        """A root directory that begins as the stored one; what is not changed is not read."""
        with _faults(f"reading directory {stored.contents}"):
            mtree = OSTree.MutableTree.new_from_checksum(self._repo, stored.contents, stored.meta)
        return Tree(self, mtree, None)

    def is_commit(self, commit: Commit, tree: Tree, message: Message, base: Base | None) -> bool:
        """Whether `write_commit` would write this very commit."""
        root = tree.written()
        checksums = root.tree_get_contents_checksum(), root.tree_get_metadata_checksum()
        if (commit.contents, commit.meta) != checksums:
            return False
        has = commit.message
        said = (has.subject, has.timestamp, has.body)
        return said == (message.subject, message.timestamp, message.body) and bool(
            self._metadata_of(commit).equal(self._metadata(tree, message, base))
        )

    def write_commit(
        self, tree: Tree, message: Message, base: Base | None = None, parent: str | None = None
    ) -> str:
        """Store the commit of a tree that a transaction has written; its checksum.

        With a base the commit has the base's metadata besides.
        """
        if self._loose is not None:
            raise RuntimeError("a commit must not be written beside the files that it names")
        metadata = self._metadata(tree, message, base)
        subject, body, time = message.subject, message.body, message.timestamp
        with _faults("writing the commit"):
            _, checksum = self._repo.write_commit_with_time(
                parent, subject, body, metadata, tree.written(), time, None
            )
        return str(checksum)

    def _metadata(self, tree: Tree, message: Message, base: Base | None) -> GLib.Variant:
        entries = self._inherited(tree, base) if base is not None else {}
        entries |= {key: GLib.Variant("s", value) for key, value in message.metadata}
        return GLib.Variant("a{sv}", entries)

    def _inherited(self, tree: Tree, base: Base) -> dict[str, GLib.Variant]:
        """The base's metadata, byte for byte, but for what says something of its own tree or
        ref, which would not be true of ours."""
        entries = _entries(self._metadata_of(base.commit))
        entries.pop("ostree.sizes", None)
        if _REF_BINDING in entries:
            # `ostree pull` refuses a commit that is bound to other refs (ostree-repo-pull.c,
            # `_ostree_repo_verify_bindings`).
            entries[_REF_BINDING] = GLib.Variant("as", [base.branch])
        if _COMPOSEFS_DIGEST in entries:
            entries[_COMPOSEFS_DIGEST] = self._composefs_digest(tree)
        return {key: value for key, value in entries.items() if not key.startswith(_OURS)}

    def _metadata_of(self, commit: Commit) -> GLib.Variant:
        with _faults(f"reading commit {commit.checksum}"):
            _, variant, _ = self._repo.load_commit(commit.checksum)
        return variant.get_child_value(0)

    def _composefs_digest(self, tree: Tree) -> GLib.Variant:
        found = GLib.VariantDict.new(None)
        try:
            with _faults("computing the composefs digest, which the base commit has"):
                self._repo.commit_add_composefs_metadata(0, found, tree.written(), None)
        except ImporterError as error:
            raise error.within(hint="run this where ostree is built with composefs") from None
        return found.lookup_value(_COMPOSEFS_DIGEST, None)

    def sign_gpg(self, checksum: str, key: str, homedir: str | None) -> None:
        """Add a GPG signature; it lies beside the commit, whose checksum stays."""
        with _faults(f"signing with key {key}"):
            self._repo.sign_commit(checksum, key, homedir, None)

    def is_signed_gpg(self, checksum: str, keyring: Path) -> bool:
        """Whether the commit has a valid signature by a key of this keyring file."""
        keys = Gio.File.new_for_path(str(keyring))
        try:
            result = self._repo.verify_commit_ext(checksum, None, keys, None)
        except GLib.Error as error:
            if error.matches(OSTree.gpg_error_quark(), OSTree.GpgError.NO_SIGNATURE):
                return False
            with _faults("looking at the commit's signatures"):
                raise
        return bool(result.count_valid())

    def sign(self, checksum: str, kind: str, secret: str) -> None:
        """The same by one of libostree's own kinds of signature, with a secret key in base64."""
        with _faults(f"signing by {kind}"):
            signer = OSTree.Sign.get_by_name(kind)
            signer.set_sk(GLib.Variant("s", secret))
            if not self._is_signed(checksum, signer):
                signer.commit(self._repo, checksum, None)

    def _is_signed(self, checksum: str, signer: OSTree.Sign) -> bool:
        """Whether just this signature is there; ed25519 gives the same one each time."""
        _, data = self._repo.load_variant(OSTree.ObjectType.COMMIT, checksum)
        _, signature = signer.data(data.get_data_as_bytes(), None)
        _, detached = self._repo.read_commit_detached_metadata(checksum, None)
        kind = GLib.VariantType.new(signer.metadata_format())
        present = detached.lookup_value(signer.metadata_key(), kind) if detached else None
        made = bytes(signature.get_data())
        return present is not None and any(bytes(one) == made for one in present.unpack())

    def delete_commit(self, checksum: str) -> None:
        """Forget a commit that no ref needs; what only it named is for `ostree prune`."""
        with _faults(f"deleting commit {checksum}"):
            self._repo.delete_object(OSTree.ObjectType.COMMIT, checksum, None)

    def delete_ref(self, ref: str) -> None:
        """Remove the ref, at once; its commit stays until a prune."""
        with _faults(f"deleting ref {ref}"):
            self._repo.set_ref_immediate(None, ref, None, None)

    def set_ref(self, ref: str, checksum: str) -> None:
        """Point the ref at the commit, when the transaction is committed."""
        self._repo.transaction_set_ref(None, ref, checksum)


class Policy:
    """An SELinux policy: which label a path's file has."""

    def __init__(self, policy: OSTree.SePolicy, where: str) -> None:
        if policy.get_name() is None:
            raise ImporterError(
                f"{where} has no SELinux policy",
                hint="--selinux-policy takes the root directory of an operating system",
            )
        self._policy = policy

    @classmethod
    def of_directory(cls, root: str) -> Policy:
        """That of the operating system whose root directory this is."""
        with _faults(f"reading the SELinux policy of {root}"):
            return cls(OSTree.SePolicy.new(Gio.File.new_for_path(root), None), root)

    @classmethod
    def of_commit(cls, repo: Repo, commit: Commit) -> Policy:
        """That of an operating system's commit."""
        with _faults(f"reading the SELinux policy of commit {commit.checksum}"):
            policy = OSTree.SePolicy.new_from_commit(repo._repo, commit.checksum, None)
        return cls(policy, f"commit {commit.checksum}")

    def label(self, path: str, mode: int) -> str | None:
        """Of a file of this mode, its type included, at this absolute path; None if the
        policy has none for it."""
        with _faults(f"looking up the SELinux label of {path}"):
            _, label = self._policy.get_label(path, mode, None)
        return str(label) if label is not None else None


class Tree:
    """A directory that is being put together for a commit."""

    def __init__(self, repo: Repo, mtree: OSTree.MutableTree, owner: Owner | str | None) -> None:
        self._repo = repo
        self._mtree = mtree
        self._root: Gio.File | None = None
        if owner is not None:
            self.set_owner(owner)

    def file(self, name: str, checksum: str) -> None:
        """A file or symlink that is stored already."""
        with _faults(f"adding {name}"):
            self._mtree.replace_file(name, checksum)

    def directory(self, name: str, owner: Owner | str) -> Tree:
        """A sub-directory, new, with this owner or this dirmeta object."""
        with _faults(f"adding {name}"):
            _, below = self._mtree.ensure_dir(name)
        return Tree(self._repo, below, owner)

    def set_owner(self, owner: Owner | str) -> None:
        """Its owner, or its dirmeta object."""
        meta = owner if isinstance(owner, str) else self._repo.write_dirmeta(owner)
        self._mtree.set_metadata_checksum(meta)

    def enter(self, name: str) -> Tree | None:
        """The sub-directory of this name as it is; None if there is no such directory."""
        try:
            _, _, below = self._mtree.lookup(name)
        except GLib.Error as error:
            if error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND):
                return None
            raise
        return Tree(self._repo, below, None) if below is not None else None

    def remove(self, name: str) -> None:
        """Whatever has this name, if anything."""
        with _faults(f"removing {name}"):
            self._mtree.remove(name, True)

    def graft(self, name: str, stored: StoredTree) -> None:
        """A whole tree that is stored already, under this name; it is not read."""
        with _faults(f"grafting {name}"):
            _, below = self._mtree.ensure_dir(name)
            below.fill_empty_from_dirtree(self._repo._repo, stored.contents, stored.meta)

    def write(self) -> tuple[str, str]:
        """Store the directories' objects; the root's dirtree and dirmeta checksums."""
        with _faults("writing the tree"):
            _, self._root = self._repo._repo.write_mtree(self._mtree, None)
        return self._root.tree_get_contents_checksum(), self._root.tree_get_metadata_checksum()

    def written(self) -> Gio.File:
        """The root as libostree wants it for a commit."""
        if self._root is None:
            raise RuntimeError("the tree is not written yet")
        return self._root


def _of(owner: Owner, target: str) -> Content:
    """Of a symlink to the target, or of a file where there is none."""
    if target:
        return _content(owner._replace(mode=0o777), _SYMLINK, target)
    return _content(owner, _FILE, "")


@lru_cache(maxsize=4096)
def _content(owner: Owner, kind: int, target: str) -> Content:
    mode = kind | owner.mode
    numbers = (_be32(owner.uid), _be32(owner.gid), _be32(mode))
    meta = GLib.Variant.new_tuple(*(GLib.Variant("u", n) for n in numbers), _xattrs(owner))
    fields = (GLib.Variant("t", 0), *(GLib.Variant("u", n) for n in (*numbers, 0)))
    zheader = GLib.Variant.new_tuple(*fields, GLib.Variant("s", target), _xattrs(owner))
    return Content(
        _content_header(owner, kind, target),
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
    return sha256(_content_header(owner, _FILE, ""))


def symlink_checksum(owner: Owner, target: str) -> str:
    """The checksum of a symlink's object."""
    return sha256(_content_header(owner._replace(mode=0o777), _SYMLINK, target)).hexdigest()


@lru_cache(maxsize=4096)
def _content_header(owner: Owner, kind: int, target: str) -> bytes:
    """What a content object's checksum begins with, and its stream: libostree's file header.

    A be32 size, 4 zero bytes, then `(uuuusa(ayay))`: uid, gid, mode, rdev, target, xattrs,
    the numbers big-endian. Source: ostree-core.c, `_ostree_file_header_new`.
    """
    numbers = (_be32(owner.uid), _be32(owner.gid), _be32(kind | owner.mode), 0)
    values: tuple[Any, ...] = (*numbers, target, [])
    parts = GLib.Variant("(uuuusa(ayay))", values)
    if owner.xattrs:
        parts = GLib.Variant.new_tuple(
            *(parts.get_child_value(n) for n in range(5)), _xattrs(owner)
        )
    return _framed(parts)


def _be32(value: int) -> int:
    return int(struct.unpack("=I", struct.pack(">I", value))[0])


def _from_be32(value: int) -> int:
    return int(struct.unpack(">I", struct.pack("=I", value))[0])


def _read_xattrs(variant: GLib.Variant) -> Xattrs:
    """The inverse of `_xattrs`."""
    pairs = (variant.get_child_value(n) for n in range(variant.n_children()))
    return tuple((_bytes(pair, 0).rstrip(b"\0"), _bytes(pair, 1)) for pair in pairs)


def _xattrs(owner: Owner) -> GLib.Variant:
    """Names end in a NUL, values do not; sorted, as libostree reads them from a disk."""
    return GLib.Variant("a(ayay)", [(name + b"\0", value) for name, value in owner.xattrs])


def _check_canonical(owner: Owner, kind: int) -> None:
    """ImporterError for what a bare-user-only repo cannot hold.

    Source: ostree-core.c, `_ostree_validate_bareuseronly_mode`, and that such a repo
    keeps neither owners nor xattrs (ostree.repo-config(5)).
    """
    if owner.uid or owner.gid or owner.xattrs or (kind != _SYMLINK and owner.mode & ~0o775):
        raise ImporterError(
            f"a bare-user-only repo cannot hold mode {owner.mode:04o}, owner"
            f" {owner.uid}:{owner.gid} and {len(owner.xattrs)} xattrs",
            hint="such a repo keeps no owners, setuid bits or xattrs; use bare-user or archive",
        )
