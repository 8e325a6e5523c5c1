"""The files that `image-store embed` adds beside the store: some of the branch, some of options."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.commit.engine_conf import engine_conf, is_read
from importer.device.program import program, unit
from importer.embed.layer_tar import PackedFile, Source
from importer.errors import ImporterError
from importer.repo.commit_keys import BASE
from layers.document import MAX_DOCUMENT_SIZE
from layers.entry import Kind, Owner
from layers.path import Path, components, joined
from layers.storage.tool_conf import with_store
from layers.tree.watched import Watched

if TYPE_CHECKING:
    from importer.embed.base_image import BaseImage
    from importer.embed.embed import EmbedJob
    from importer.embed.present_store import PresentStore
    from importer.progress import Progress
    from importer.repo.values import RepoDirectory
    from importer.store.reader import StoreView

_FILE = Owner(0o644, 0, 0)
_STORAGE_CONF = (b"etc", b"containers", b"storage.conf")
_LINK = Owner(0o777, 0, 0)
_EXECUTABLE = Owner(0o755, 0, 0)
# As `make install-device PREFIX=/usr` installs them.
_PROGRAM = (b"usr", b"libexec", b"import-image", b"device")
_SERVICES = (b"usr", b"lib", b"systemd", b"system")
_HEAL = "heal"
_PYTHON = (b"usr", b"bin", b"python3")
_SELINUX = (b"etc", b"selinux")
_CONTEXTS = (b"contexts", b"files")
_RULES, _SUBS = b"file_contexts", b"file_contexts.subs"
# Where podman keeps its own images; every policy has rules for it.
_LIKE = "/var/lib/containers/storage"
# An import writes a dozen of them; a commit made as a trap may name one a million times.
_MOST_DIRECTORIES = 1000
# podman-systemd.unit(5); bootc's documentation, "Logically bound images".
_UNITS = (b"usr", b"share", b"containers", b"systemd")
_BOUND = (b"usr", b"lib", b"bootc", b"bound-images.d")


class ExtraFiles:
    """The files beside the store. `own`: the files that the branch has beside its store, and
    units of --bound.

    The storage.conf of an import without --onto is left out: `added` names the store in the file of
    the base instead.
    """

    def __init__(self, store: StoreView, job: EmbedJob) -> None:
        """Raise ImporterError as `_beside` does."""
        self._store = store
        self._job = job
        self._device = _device_files() if job.device_units else {}
        self.own = _beside(store)
        own = _STORAGE_CONF in self.own
        written = store.top.read("usr/etc/containers/storage.conf") if own else None
        self._named = written == with_store(None, store.prefix)
        if self._named:
            del self.own[_STORAGE_CONF]
        if job.bound:
            self.own |= bound_images(store)
        paths = [*self.own, *self._device, _PYTHON]
        self._led = {path[:end] for path in paths for end in range(1, len(path) + 1)}

    def watched_size(self, path: Path) -> int | None:
        """Return how much of a file of the base decides about these files, in bytes; None for a
        path that does not matter."""
        if is_policy(path) or is_read(path):
            return MAX_DOCUMENT_SIZE
        return 0 if path in self._led else None

    def added(
        self, base: BaseImage, present: PresentStore, progress: Progress
    ) -> dict[Path, Source]:
        """Return all files, by their paths in the image. Report what the configuration means."""
        files = self.own | self._device
        if self._device and _PYTHON not in base.watched:
            raise ImporterError(
                "the base image has no /usr/bin/python3, which --device-units needs",
                hint="install Python 3.9 or later in the base, or leave --device-units out",
            )
        if self._job.equivalence:
            files |= equivalence(base, self._store.prefix)
        engines = self._job.engines
        if self._named:
            engines = replace(engines, storage_conf=True)
        made, messages = engine_conf(
            engines, base.tree, self._store.prefix, present.names, artifacts=present.artifacts
        )
        for message in messages:
            progress.message(message)
        for name, content in made.items():
            path = components(name.encode())
            there = base.watched.get(path)
            files[path] = PackedFile(there.owner if there is not None else _FILE, content)
        return files


def _device_files() -> dict[Path, Source]:
    """Return the program for devices and its services, of which systemd starts heal's."""
    heal = f"import-image-{_HEAL}.service".encode()
    files: dict[Path, Source] = {
        (*_SERVICES, f"import-image-{name}.service".encode()): PackedFile(_FILE, unit(name))
        for name in (_HEAL, "doctor")
    }
    files[(*_SERVICES, b"multi-user.target.wants", heal)] = PackedFile(_LINK, target=b"../" + heal)
    return files | {_PROGRAM: PackedFile(_EXECUTABLE, program())}


def _beside(store: StoreView) -> dict[Path, Source]:
    """Return the files that the import wrote beside the store.

    The keys are the files' paths in a container image. Return nothing for a branch made with
    --onto: its commit does not tell these files from those of the operating system. Raise
    ImporterError for so many files that no import can have written them.
    """
    if BASE in store.commit.metadata:
        return {}
    prefix = components(store.prefix.encode())
    files: dict[Path, Source] = {}
    work: list[tuple[Path, RepoDirectory]] = [((), store.top)]
    visited = 0
    while work:
        path, directory = work.pop()
        visited += 1
        if visited > _MOST_DIRECTORIES:
            raise ImporterError(
                f"branch {store.branch} has more than {_MOST_DIRECTORIES} directories beside its"
                " store",
                hint="embed takes a branch that an import has written",
            )
        for name, checksum in directory.leaves.items():
            files[_in_container((*path, name))] = checksum
        for name, below in directory.directories.items():
            if (*path, name) != prefix:
                work.append(((*path, name), below))
    return files


def _in_container(path: Path) -> Path:
    """Return a commit's path as a container image has it: /usr/etc becomes /etc, of which bootc
    makes /usr/etc again."""
    return path[1:] if path[:2] == (b"usr", b"etc") else path


def is_policy(path: Path) -> bool:
    """Return whether the path is file_contexts or file_contexts.subs of an SELinux policy, or a
    directory above one of them."""
    pattern = (*_SELINUX, None, *_CONTEXTS)
    if len(path) > len(pattern):
        return is_policy(path[:-1]) and path[len(pattern) :] in ((_RULES,), (_SUBS,))
    return all(wanted in (None, name) for wanted, name in zip(pattern, path, strict=False))


def equivalence(base: BaseImage, prefix: str) -> dict[Path, Source]:
    """Return each policy's file_contexts.subs with a line more: label `prefix` as podman's own
    storage (selinux(8) and selabel_file(5), "subs"). A file that has the line is left out.

    Raise ImporterError if the base has no policy, or a file_contexts.subs that cannot be read.
    """
    line = f"{prefix} {_LIKE}\n".encode()
    policies = [path[:5] for path in base.watched if path[5:] == (_RULES,) and is_policy(path)]
    if not policies:
        raise ImporterError(
            "the base image has no SELinux policy",
            hint="without one, --selinux-equivalence has nothing to add to",
        )
    changed: dict[Path, Source] = {}
    for policy in policies:
        place = (*policy, _SUBS)
        there = base.watched.get(place, Watched(Kind.FILE, _FILE, b""))
        if there.content is None:
            raise ImporterError(
                f"/{joined(place).decode()} of the base image is no file, or too large"
            )
        ended = there.content.removesuffix(b"\n") + b"\n" if there.content else b""
        if line not in ended.splitlines(keepends=True):
            changed[place] = PackedFile(there.owner, ended + line)
    return changed


def bound_images(store: StoreView) -> dict[Path, Source]:
    """Return a Quadlet unit for each image that has a name, and a link to the unit, which makes the
    image one of bootc's logically bound images."""
    from layers.lists.quadlet import bound_image  # loads YAML's reader

    files: dict[Path, Source] = {}
    for name in sorted({image.names[0] for image in store.images if image.names}):
        unit, text = bound_image(name)
        files[(*_UNITS, unit.encode())] = PackedFile(_FILE, text.encode())
        target = b"/" + b"/".join((*_UNITS, unit.encode()))
        files[(*_BOUND, unit.encode())] = PackedFile(_LINK, target=target)
    return files
