"""The tree that a store is put into: an operating system's, or one of its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from stat import S_IFDIR, S_IFREG
from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.errors import ImporterError
from importer.repo.commit_metadata import Base
from layers.entry import Owner
from layers.errors import Fault, LayerError, first_line

if TYPE_CHECKING:
    from importer.commit.selinux import Labels
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory, SystemDirectory
    from importer.repo.writer import Repo

_DIRECTORY = Owner(0o755, 0, 0)
_FILE = Owner(0o644, 0, 0)
# ostree-prepare-root(1): the file in /etc takes precedence.
_PREPARE_ROOT = tuple(
    f"{where}/ostree/prepare-root.conf" for where in ("/usr/etc", "/etc", "/usr/lib")
)
# GKeyFile's booleans are true, false, 1 and 0; ostree takes yes and no as well.
_OFF = ("no", "false", "0")
# systemd src/shared/discover-image.c; /usr/lib up to version 253 only.
_EXTENSIONS = (
    "/usr/etc/extensions",
    "/etc/extensions",
    "/usr/lib/extensions",
    "/var/lib/extensions",
)
# The files and directories that decide whether /usr is an overlayfs.
OVERLAYS = (*_PREPARE_ROOT, *_EXTENSIONS)
SHOWN_BY_COMPOSEFS = "a composefs deployment would show them as files, and deleted files again"


def find_base(repo: Repo, onto: str | None, branch: str) -> Base | None:
    """Return the commit that the store is put onto, or None without `onto`.

    `onto` is a branch, or `REMOTE:BRANCH`. Raise ImporterError if there is no such branch, or if
    it was pulled in part only.
    """
    if onto is None:
        return None
    checksum = repo.revision(onto) if ":" in onto else repo.resolve(onto)
    if checksum is None:
        raise ImporterError(
            f"the repo has no branch {onto}", hint="pull or commit the operating system first"
        )
    commit = repo.commit(checksum)
    if commit.partial:
        raise ImporterError(f"{onto} was pulled in part only", hint="pull the whole of it")
    return Base(commit, branch)


def composefs_enabled(raw: bytes) -> bool:
    """Return whether prepare-root.conf, a GKeyFile, enables composefs; False without the key. Raise
    LayerError if the file is not a key file."""
    from configparser import ConfigParser, Error  # few bases have the file

    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(raw.decode())
    except (Error, UnicodeDecodeError) as error:
        raise LayerError(f"prepare-root.conf is not a key file: {first_line(error)}") from None
    value = parser.get("composefs", "enabled", fallback=None)
    return value is not None and value.strip().lower() not in _OFF


class BaseTree:
    """The tree of the operating system that a store is put into, or an empty one; it is only read.

    `name` is the system's name in messages, `etc` the directory of its defaults of /etc. Paths are
    absolute, and lead through directories only.
    """

    def __init__(self, root: SystemDirectory | None, name: str, etc: str) -> None:
        self._root = root
        self.name = name
        self.etc = etc

    def before(self, path: str) -> SystemDirectory | None:
        return self._root.find(path.strip("/")) if self._root else None

    def read(self, path: str) -> bytes | None:
        """Return the base's file at a path, or None. Raise ImporterError for a symlink, and for a
        file of more than MAX_DOCUMENT_SIZE bytes."""
        try:
            return self._root.read(path.strip("/")) if self._root else None
        except Fault as error:
            raise ImporterError(
                f"{path} of {self.name}: {error.message}", hint="it has to be a file there"
            ) from None

    def files(self, *paths: str, suffix: str = "") -> dict[str, bytes]:
        """Return the files of some of the base's directories, by name.

        Of a name that several have, the last one counts. Raise ImporterError for a symlink.
        """
        files: dict[str, bytes] = {}
        for path in paths:
            place = self.before(path)
            for name in map(bytes.decode, place.leaves if place else ()):
                if name.endswith(suffix):
                    files[name] = self.read(f"{path}/{name}") or b""
        return files

    def check_directory(self, path: str) -> None:
        """Raise ImporterError if the base has a file or symlink at the path, or above it."""
        here = PurePosixPath("/")
        for name in PurePosixPath(path).relative_to("/").parts:
            here /= name
            above = self.before(str(here.parent))
            if above is not None and here.name.encode() in above.leaves:
                raise ImporterError(
                    f"{here} of {self.name} is not a directory",
                    hint=f"{path} must not lead through a file or symlink; see --prefix",
                )

    def enables_composefs(self) -> bool:
        """Return whether a device mounts a deployment of the base by composefs."""
        conf = next((raw for raw in map(self.read, _PREPARE_ROOT) if raw is not None), None)
        if conf is None:
            return False
        try:
            return composefs_enabled(conf)
        except LayerError as error:
            raise ImporterError(
                f"{self.name}'s {error}", hint="ostree-prepare-root(1) has its format"
            ) from None

    def has_extensions(self) -> bool:
        """Return whether the base has an extension that systemd-sysext(8) mounts above /usr."""
        directories = filter(None, map(self.before, _EXTENSIONS))
        return any(place.leaves or place.directories for place in directories)

    def overlays_usr(self) -> bool:
        """Return whether /usr of a device is an overlayfs: composefs, or with extensions."""
        return self.enables_composefs() or self.has_extensions()


class BaseCommit(BaseTree):
    """The tree of the base commit, or an empty one.

    ostree takes /etc for the defaults of /etc where there is no /usr/etc, and refuses to deploy a
    commit that has both (ostree-sysroot-deploy.c).
    """

    def __init__(self, repo: Repo, base: Base | None) -> None:
        self._repo = repo
        self._commit = repo.root(base.commit) if base else None
        super().__init__(self._commit, "the base commit", "/usr/etc")
        if self.before("/etc") and not self.before("/usr/etc"):
            self.etc = "/etc"

    def before(self, path: str) -> RepoDirectory | None:
        return self._commit.find(path.strip("/")) if self._commit else None

    def check_whiteouts(self, present: RepoDirectory | None) -> None:
        """Raise ImporterError if the whiteouts of `present`, the base's own store that stays,
        would not work where the base is deployed."""
        if present is not None and self.enables_composefs() and deletes(present):
            raise ImporterError(
                "the base commit enables composefs, and its own store has whiteouts:"
                f" {SHOWN_BY_COMPOSEFS}",
                hint="--existing-store=replace leaves that store out",
            )


class CommitTree(BaseCommit):
    """A commit's tree in the making. It begins as the base's tree, or empty.

    Reading asks the base; writing changes the new tree alone.
    """

    def __init__(self, repo: Repo, base: Base | None, labels: Labels) -> None:
        super().__init__(repo, base)
        self._labels = labels
        self.root = (
            repo.tree_of(base.commit) if base else repo.tree(labels.at("/", _DIRECTORY, S_IFDIR))
        )

    def directory(self, path: str) -> Tree:
        """Return a directory of the new tree, made if missing. The base's directories keep their
        owners.
        """
        self.check_directory(path)
        tree, here = self.root, PurePosixPath("/")
        for name in PurePosixPath(path).relative_to("/").parts:
            here /= name
            tree = tree.enter(name) or tree.directory(
                name, self._labels.at(str(here), _DIRECTORY, S_IFDIR)
            )
        return tree

    def write(self, path: str, content: bytes) -> None:
        """Write a file; it keeps the owner, mode and label of the file that it replaces."""
        head, _, name = path.rpartition("/")
        present = self._commit.leaf(path.strip("/")) if self._commit else None
        owner = (
            self._repo.file(present).owner
            if present is not None
            else self._labels.at(path, _FILE, S_IFREG)
        )
        self.directory(head).file(name, self._repo.write_file(owner, content))
