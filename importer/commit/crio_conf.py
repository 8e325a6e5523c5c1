"""Pin the store's images in CRI-O's configuration, as the OS's default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.storage_conf import etc_of
from importer.errors import ImporterError
from layers.errors import LayerError
from layers.storage.crio_conf import (
    CrioConf,
    crio_conf,
    names_store,
    parse_crio_conf,
    store_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.commit.base_tree import BaseTree, CommitTree

_OURS = "50-import-image.conf"
_STORAGE_OPTION = (
    "the base commit's CRI-O configuration sets storage_option, so CRI-O does not read"
    " storage.conf: {path} adds the store to that option"
)
_NOT_READ = (
    "the base commit's CRI-O configuration sets storage_option, so CRI-O does not read"
    " storage.conf and does not find the store: --crio-conf adds the store to that option"
)
_REPLACED = "the base commit's crio.conf.d/{name} comes after ours and replaces its {key}"
REPAIR = (
    "with internal_repair = false, CRI-O keeps its containers and images after a crash; after a"
    " power cut crio-wipe.service (`crio wipe`) still removes them at boot, unless it is masked"
)


def add_crio_conf(
    tree: CommitTree, store: str, names: Iterable[str], *, internal_repair: bool | None
) -> list[str]:
    """Write the drop-in, and return what to tell the user; see `made_crio_conf`."""
    path, content, told = made_crio_conf(tree, store, names, internal_repair=internal_repair)
    tree.write(path, content)
    return told


def tell_unread(tree: BaseTree, store: str) -> list[str]:
    """Return a message if CRI-O of the base reads other options than those of storage.conf."""
    etc = etc_of(tree)
    drop_ins = tree.files(f"{etc}/crio/crio.conf.d")
    files = [("crio.conf", tree.read(f"{etc}/crio/crio.conf") or b""), *sorted(drop_ins.items())]
    try:
        option = _last(_parsed(name, raw).storage_option for name, raw in files)
    except ImporterError as error:
        return [f"whether CRI-O will find the store cannot be told: {error}"]
    return [_NOT_READ] if option and not names_store(option, store) else []


def made_crio_conf(
    tree: BaseTree, store: str, names: Iterable[str], *, internal_repair: bool | None
) -> tuple[str, bytes, list[str]]:
    """Pin the images of these names, and name the store where CRI-O would not find it.

    What the base's files before ours say is kept. Return the drop-in's path, its content, and
    what to tell the user. Raise ImporterError if one of the base's files cannot be read.
    """
    etc = etc_of(tree)
    path = f"{etc}/crio/crio.conf.d/{_OURS}"
    drop_ins = tree.files(f"{etc}/crio/crio.conf.d")
    before = [_parsed("crio.conf", tree.read(f"{etc}/crio/crio.conf") or b"")]
    before += [_parsed(name, drop_ins[name]) for name in sorted(drop_ins) if name <= _OURS]
    pinned = _last(one.pinned_images for one in before)
    option = _last(one.storage_option for one in before)
    told = [] if internal_repair is not False else [REPAIR]
    if option and not names_store(option, store):
        option = (*option, store_option(store))
        told.append(_STORAGE_OPTION.format(path=path))
    tree.check_directory(path.rpartition("/")[0])
    made = crio_conf([*pinned, *names], option, internal_repair=internal_repair)
    told += _replaced({n: raw for n, raw in drop_ins.items() if n > _OURS}, option)
    return path, made, told


def _replaced(later: dict[str, bytes], option: tuple[str, ...]) -> list[str]:
    told = []
    for name in sorted(later):
        found = _parsed(name, later[name])
        if found.pinned_images is not None:
            told.append(_REPLACED.format(name=name, key="pinned_images"))
        if found.storage_option is not None and option:
            told.append(_REPLACED.format(name=name, key="storage_option"))
    return told


def _last(values: Iterable[tuple[str, ...] | None]) -> tuple[str, ...]:
    """Return the last array of several files, which replaces the others."""
    return next((one for one in reversed([*values]) if one is not None), ())


def _parsed(name: str, raw: bytes) -> CrioConf:
    try:
        return parse_crio_conf(raw)
    except LayerError as error:
        raise ImporterError(
            f"{name} of CRI-O in the base commit: {error}", hint="crio.conf(5) has its format"
        ) from None
