"""Files beside the store: the branch's configuration, and what the options ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.embed.layer_tar import NewFile, Source
from importer.errors import ImporterError
from importer.repo.commit_keys import BASE
from layers.entry import Owner
from layers.lists.bound_image import bound_image
from layers.path import Path

if TYPE_CHECKING:
    from importer.embed.base_image import BaseImage
    from importer.repo.values import RepoDirectory
    from importer.store.reader import StoreView

_FILE = Owner(0o644, 0, 0)
_LINK = Owner(0o777, 0, 0)
_SELINUX = (b"etc", b"selinux")
_CONTEXTS = (b"contexts", b"files")
_RULES, _SUBS = b"file_contexts", b"file_contexts.subs"
# Where podman keeps its own images; every policy has rules for it.
_LIKE = "/var/lib/containers/storage"
# podman-systemd.unit(5); bootc's documentation, "Logically bound images".
_UNITS = (b"usr", b"share", b"containers", b"systemd")
_BOUND = (b"usr", b"lib", b"bootc", b"bound-images.d")


def configuration(store: StoreView) -> dict[Path, Source]:
    """Return the files that the import wrote beside the store, at their paths in a container.

    A branch that was put onto an operating system has that system's files, too, and nobody can
    tell them apart: then none are returned.
    """
    if BASE in store.commit.metadata:
        return {}
    prefix = path_of(store.prefix)
    found: dict[Path, Source] = {}
    work: list[tuple[Path, RepoDirectory]] = [((), store.top)]
    while work:
        path, directory = work.pop()
        for name, checksum in directory.leaves.items():
            found[_in_container((*path, name))] = checksum
        for name, below in directory.directories.items():
            if (*path, name) != prefix:
                work.append(((*path, name), below))
    return found


def _in_container(path: Path) -> Path:
    """Return where bootc looks for a file of a commit: it makes /usr/etc of /etc itself."""
    return path[1:] if path[:2] == (b"usr", b"etc") else path


def is_policy(path: Path) -> bool:
    """Return whether the path is of an SELinux policy's file contexts, or leads there."""
    pattern = (*_SELINUX, None, *_CONTEXTS)
    if len(path) > len(pattern):
        return is_policy(path[:-1]) and path[len(pattern) :] in ((_RULES,), (_SUBS,))
    return all(one in (None, name) for one, name in zip(pattern, path, strict=False))


def equivalence(base: BaseImage, prefix: str) -> dict[Path, Source]:
    """Return the policies' file_contexts.subs, with a line that labels `prefix` as podman's own
    storage (selinux(8) and selabel_file(5), "subs"). Raise ImporterError without a policy."""
    line = f"{prefix} {_LIKE}\n".encode()
    found: dict[Path, Source] = {}
    for path in base.found:
        if is_policy(path) and path[-1] == _RULES and len(path) == 6:
            place = (*path[:-1], _SUBS)
            there = base.found.get(place)
            content = (there.content if there else None) or b""
            if line not in content.splitlines(keepends=True):
                ended = content if not content or content.endswith(b"\n") else content + b"\n"
                found[place] = NewFile(there.owner if there else _FILE, ended + line)
    if not any(is_policy(path) and len(path) == 6 for path in base.found):
        raise ImporterError(
            f"the base image {base.image.reference} has no SELinux policy",
            hint="without one, --selinux-equivalence has nothing to add to",
        )
    return found


def bound_images(store: StoreView) -> dict[Path, Source]:
    """Return a Quadlet unit for each of the store's images that has a name, and the links by which
    bootc takes them for logically bound images."""
    found: dict[Path, Source] = {}
    for name in sorted({image.names[0] for image in store.images if image.names}):
        unit, text = bound_image(name)
        found[(*_UNITS, unit.encode())] = NewFile(_FILE, text.encode())
        target = b"/" + b"/".join((*_UNITS, unit.encode()))
        found[(*_BOUND, unit.encode())] = NewFile(_LINK, target=target)
    return found


def path_of(text: str) -> Path:
    """Return an absolute path as the names in it."""
    return tuple(name.encode() for name in text.split("/") if name)
