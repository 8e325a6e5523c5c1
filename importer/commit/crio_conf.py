"""Pin the store's images in CRI-O's configuration, as the OS's default."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from importer.commit.storage_conf import NO_IDMAP, etc_of
from importer.errors import ImporterError
from layers.errors import LayerError
from layers.storage.tool_conf import crio_conf, pinned_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.commit.base_tree import BaseTree, CommitTree

_OURS = "50-import-image.conf"
_UNIT = f"/usr/lib/systemd/system/crio.service.d/{_OURS}"
_NO_IDMAP = f"""\
# /usr is an overlayfs, which cannot be id-mapped.
[Service]
Environment={NO_IDMAP}
""".encode()
_NAMELESS = (
    "images without a name, so that CRI-O cannot pin them: {count}. NAME=REF gives an image a name"
)
_REPLACED = "the base commit's crio.conf.d/{name} comes after ours and replaces its pinned_images"
REPAIR = (
    "with internal_repair = false, CRI-O keeps its containers and images after a crash; after a"
    " power cut crio-wipe.service (`crio wipe`) still removes them at boot, unless it is masked"
)


def add_crio_conf(
    tree: CommitTree, names: Iterable[Sequence[str]], *, internal_repair: bool | None
) -> list[str]:
    """Write the drop-ins, and return what to tell the user; see `made_crio_conf`."""
    files, told = made_crio_conf(tree, names, internal_repair=internal_repair)
    for path, content in files.items():
        tree.write(path, content)
    return told


def made_crio_conf(
    tree: BaseTree, names: Iterable[Sequence[str]], *, internal_repair: bool | None
) -> tuple[dict[str, bytes], list[str]]:
    """Pin images, given the names of each.

    What the base's files before ours pin is kept. Where /usr is an overlayfs, a drop-in of
    crio.service keeps CRI-O from id-mapped mounts. Return the files by path, and what to tell the
    user. Raise ImporterError if one of the base's files cannot be read.
    """
    etc, images = etc_of(tree), [*names]
    said = {"": _pinned("crio.conf", tree.read(f"{etc}/crio/crio.conf") or b"")}
    drop_ins = tree.files(f"{etc}/crio/crio.conf.d")
    said |= {name: _pinned(name, drop_ins[name]) for name in sorted(drop_ins)}
    # An array replaces those of earlier files.
    before = [found for name, found in said.items() if found is not None and name <= _OURS]
    pinned = [*(before[-1] if before else ()), *chain.from_iterable(images)]
    files = {
        f"{etc}/crio/crio.conf.d/{_OURS}": crio_conf(pinned, internal_repair=internal_repair),
        **({_UNIT: _NO_IDMAP} if tree.overlays_usr() else {}),
    }
    for path in files:
        tree.check_directory(path.rpartition("/")[0])
    later = [name for name, found in said.items() if found is not None and name > _OURS]
    nameless = sum(not one for one in images)
    told = [REPAIR] if internal_repair is False else []
    told += [_REPLACED.format(name=name) for name in later]
    told += [_NAMELESS.format(count=nameless)] if nameless else []
    return files, told


def _pinned(name: str, raw: bytes) -> tuple[str, ...] | None:
    try:
        return pinned_images(raw)
    except LayerError as error:
        raise ImporterError(
            f"{name} of CRI-O in the base commit: {error}", hint="crio.conf(5) has its format"
        ) from None
