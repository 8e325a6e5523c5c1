"""Name the store and pin its images in the OS's configuration of podman and CRI-O."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from importer.commit.base_tree import OVERLAYS
from importer.errors import ImporterError, layer_faults
from layers.path import components
from layers.storage.tool_conf import CrioList, crio_conf, drop_in, stores_of, with_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.commit.base_tree import BaseTree
    from importer.commit.target import EngineOptions
    from layers.path import Path

_NAME = "containers/storage.conf"
# containers-storage.conf(5): this one counts only where there is none in /etc.
_VENDOR = f"/usr/share/{_NAME}"
# Drop-ins for everybody, for root, and for other users, with a directory for each user below. All
# are read in the order of their names. Of one name, the file of the last directory counts; those of
# /etc come after those of /usr/share (container-libs, storage/pkg/configfile/parse.go).
_EVERYBODY = "containers/storage.conf.d"
_ROOT = "containers/storage.rootful.conf.d"
_ROOTLESS = "containers/storage.rootless.conf.d"
_OURS = "99-import-image.conf"
# An overlayfs cannot be id-mapped. With this variable containers-storage (1.46 and later) does not
# try, and gives a container with a user namespace a copy with changed owners instead.
NO_IDMAP = "_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes"
_CONTAINERS_CONF = "containers/containers.conf.d/50-import-image.conf"
# containers.conf(5); podman 4.8 and later know `append`.
_NO_IDMAP = f"""\
# /usr is an overlayfs, which cannot be id-mapped.
[engine]
env = ["{NO_IDMAP}", {{append = true}}]
"""
_HINT = "containers-storage.conf(5) has its format"
_PINS = "50-import-image.conf"
_UNIT = f"/usr/lib/systemd/system/crio.service.d/{_PINS}"
_NO_IDMAP_UNIT = f"""\
# /usr is an overlayfs, which cannot be id-mapped.
[Service]
Environment={NO_IDMAP}
""".encode()
_NAMELESS = (
    "images without a name, so that CRI-O cannot pin them: {count}. NAME=REF gives an image a name"
)
_REPLACED = "{base}'s crio.conf.d/{name} comes after ours and replaces its {key}"
REPAIR = (
    "with internal_repair = false, CRI-O keeps its containers and images after a crash; after a"
    " power cut crio-wipe.service (`crio wipe`) still removes them at boot, unless it is masked"
)

_CRIO = ("crio/crio.conf", "crio/crio.conf.d")
_READ = (
    *(f"/usr/share/{name}" for name in (_NAME, _EVERYBODY, _ROOT, _ROOTLESS)),
    *(f"/etc/{name}" for name in (_NAME, _EVERYBODY, _ROOT, _ROOTLESS, _CONTAINERS_CONF, *_CRIO)),
    *(_UNIT, *OVERLAYS),
)
_READ_PATHS = tuple(components(path.encode()) for path in _READ)


def is_read(path: Path) -> bool:
    """Return whether the file or directory at this path of a container image decides about the
    configuration: it is one of `_READ`, above it, or up to two levels below, where users have their
    drop-ins."""
    return any(
        path[: len(read)] == read[: len(path)] and len(path) <= len(read) + 2
        for read in _READ_PATHS
    )


def engine_conf(
    options: EngineOptions,
    tree: BaseTree,
    store: str,
    names: Iterable[Sequence[str]],
    *,
    artifacts: bool,
) -> tuple[dict[str, bytes], list[str]]:
    """Name the store, and pin its images, given the names of each. `artifacts` tells whether it has
    artifacts, which CRI-O is told of.

    Return the files to write, by their paths, and what to tell the user. Raise ImporterError as
    `_storage_conf` and `_crio_conf` do.
    """
    files: dict[str, bytes] = {}
    messages: list[str] = []
    if options.storage_conf:
        files |= _storage_conf(tree, store)
    if options.crio_conf:
        stores = [store] if artifacts else []
        repair = options.internal_repair
        crio, messages = _crio_conf(tree, names, stores, internal_repair=repair)
        files |= crio
    return files, messages


def _storage_conf(tree: BaseTree, store: str) -> dict[str, bytes]:
    """Return the files to write, by their paths.

    They name the store, unless the OS does so: in the main file, and in a drop-in for each reader
    from whom the OS's drop-ins hide that. Where /usr is an overlayfs, a drop-in of containers.conf
    keeps podman from id-mapped mounts. Raise ImporterError if one of the OS's files cannot be read,
    or not be written there, or if a drop-in that comes after ours names other stores instead.
    """
    etc = tree.etc
    path = f"{etc}/{_NAME}"
    present = tree.read(path)
    where = path if present is not None else _VENDOR
    content = present if present is not None else tree.read(_VENDOR)
    with layer_faults(f"{where} of {tree.name}", _HINT):
        made = with_store(content, store)
    files = {path: made} if made != content else {}
    files |= _drop_ins(tree, etc, made, store)
    if tree.overlays_usr():
        files[f"{etc}/{_CONTAINERS_CONF}"] = _NO_IDMAP.encode()
    for name in files:
        tree.check_directory(name.rpartition("/")[0])
    return files


def _drop_ins(tree: BaseTree, etc: str, main: bytes, store: str) -> dict[str, bytes]:
    """Return drop-ins for readers who would not see the store; a store named twice is listed
    twice."""
    written: dict[str, bytes] = {}
    root, rootless, *others = _readers(tree, etc)
    everybody = [f"{place}/{_EVERYBODY}" for place in ("/usr/share", etc)]

    def seen(reader: list[str]) -> bool:
        return store in _stores(tree, main, _read(tree, reader, written))

    def write(reader: list[str]) -> None:
        """Add the store to the drop-in of ours that the reader has from an earlier import."""
        earlier = _stores(tree, b"", {_OURS: _read(tree, reader, written).get(_OURS, b"")})
        written[f"{reader[-1]}/{_OURS}"] = drop_in([*earlier, store])

    if not seen(root) and not seen(rootless):
        write(everybody)
    for reader in (root, rootless, *others):
        if not seen(reader):
            write(reader)
            if not seen(reader):
                drop_ins = _read(tree, reader, written)
                later = ", ".join(name for name in sorted(drop_ins) if name > _OURS)
                raise ImporterError(
                    f"a drop-in of storage.conf in {tree.name} replaces what {_OURS} says: {later}",
                    hint="its list of stores must not have {append = false}",
                )
    return written


def _readers(tree: BaseTree, etc: str) -> list[list[str]]:
    """Return the directories of drop-ins that root reads, that other users read, and that each
    user reads for whom there is one."""
    places = ("/usr/share", etc)
    directories = filter(None, (tree.before(f"{place}/{_ROOTLESS}") for place in places))
    users = sorted({name.decode() for directory in directories for name in directory.directories})
    own = [[_EVERYBODY, _ROOTLESS, f"{_ROOTLESS}/{user}"] for user in users]
    readers = [[_EVERYBODY, _ROOT], [_EVERYBODY, _ROOTLESS], *own]
    return [[f"{place}/{name}" for place in places for name in reader] for reader in readers]


def _read(tree: BaseTree, directories: list[str], written: dict[str, bytes]) -> dict[str, bytes]:
    """Return the drop-ins of one reader by name; `written` are ours, by path."""
    drop_ins: dict[str, bytes] = {}
    for directory in directories:
        drop_ins |= tree.files(directory, suffix=".conf")
        path = f"{directory}/{_OURS}"
        drop_ins |= {_OURS: written[path]} if path in written else {}
    return drop_ins


def _stores(tree: BaseTree, main: bytes, drop_ins: dict[str, bytes]) -> list[str]:
    with layer_faults(f"a drop-in of storage.conf in {tree.name}", _HINT):
        return stores_of(main, (drop_ins[name] for name in sorted(drop_ins)))


def _crio_conf(
    tree: BaseTree,
    names: Iterable[Sequence[str]],
    artifact_stores: Sequence[str],
    *,
    internal_repair: bool | None,
) -> tuple[dict[str, bytes], list[str]]:
    """Pin images, given the names of each, and name stores of artifacts.

    What the base's files before ours list is kept. Where /usr is an overlayfs, a drop-in of
    crio.service keeps CRI-O from id-mapped mounts. Return the files by path, and what to tell the
    user. Raise ImporterError if one of the base's files cannot be read.
    """
    etc, images = tree.etc, [*names]
    pinned, later = _listed(tree, CrioList.PINNED, chain.from_iterable(images))
    stores: list[str] = []
    if artifact_stores or _names_artifacts(tree):
        stores, hidden = _listed(tree, CrioList.ARTIFACT_STORES, artifact_stores)
        later += hidden
    made = crio_conf(pinned, stores, internal_repair=internal_repair)
    files = {
        f"{etc}/crio/crio.conf.d/{_PINS}": made,
        **({_UNIT: _NO_IDMAP_UNIT} if tree.overlays_usr() else {}),
    }
    for path in files:
        tree.check_directory(path.rpartition("/")[0])
    nameless = sum(not image for image in images)
    messages = [REPAIR] if internal_repair is False else []
    messages += later
    messages += [_NAMELESS.format(count=nameless)] if nameless else []
    return files, messages


def _names_artifacts(tree: BaseTree) -> bool:
    """Return whether the base has our drop-in, and it names a store of artifacts."""
    ours = tree.files(f"{tree.etc}/crio/crio.conf.d").get(_PINS, b"")
    return bool(_values(tree, CrioList.ARTIFACT_STORES, _PINS, ours))


def _listed(tree: BaseTree, array: CrioList, added: Iterable[str]) -> tuple[list[str], list[str]]:
    """Add values to those that an array has in the base's files before ours. Return all, and what
    to tell the user of later files, whose arrays replace ours."""
    etc = tree.etc
    files = {"": _values(tree, array, "crio.conf", tree.read(f"{etc}/crio/crio.conf") or b"")}
    drop_ins = tree.files(f"{etc}/crio/crio.conf.d")
    files |= {name: _values(tree, array, name, drop_ins[name]) for name in sorted(drop_ins)}
    present = {name: values for name, values in files.items() if values is not None}
    before = [values for name, values in present.items() if name <= _PINS]
    later = [name for name in present if name > _PINS]
    _, key = array.value
    told = [_REPLACED.format(base=tree.name, name=name, key=key) for name in later]
    return [*(before[-1] if before else ()), *added], told


def _values(tree: BaseTree, array: CrioList, name: str, raw: bytes) -> tuple[str, ...] | None:
    with layer_faults(f"{name} of CRI-O in {tree.name}", "crio.conf(5) has its format"):
        return array.read(raw)
