"""A layer as its branches have it: the cache that spares fetching and unpacking it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch, record_branch
from importer.errors import ImporterError
from importer.repo.commit_keys import (
    DEVICES,
    DIFF_SIZE,
    GIDS,
    OPAQUE,
    STRAY_DEVICES,
    UIDS,
    UNVERIFIED,
    WHITEOUTS,
)
from importer.repo.values import Commit
from layers.errors import LayerError
from layers.tree.builder import DeviceNodes

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory, StoredTree
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer


@dataclass(frozen=True, slots=True)
class LayerCommit:
    """A layer as its branches have it.

    `diff_size` is the size of the uncompressed tar in bytes; `record` the checksum of the
    tar-split file's object, None for a layer whose tar nobody has; `whiteouts` counts the
    quoted whiteouts in the tree, `opaque` the opaque markers in the tar; `devices` and
    `stray_devices` the device nodes that were left out, below /dev and elsewhere. Only what is
    `verified` is known to be the layer that its diffID names, and so are those below it.
    """

    commit: Commit
    record: str | None
    verified: bool
    diff_size: int
    whiteouts: int
    opaque: int
    devices: int
    stray_devices: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    labelled: RepoDirectory | None = None

    @property
    def tree(self) -> StoredTree:
        """Return the tree for a store: the layer's own, or the same with SELinux labels."""
        return self.labelled or self.commit


def head_layer(repo: Repo, layer_id: str) -> LayerCommit:
    """Return a layer that this run has seen or imported. Raise ImporterError if it is gone."""
    found = find_layer(repo, layer_id)
    if found is None:
        raise ImporterError(f"branch {layer_branch(layer_id)} went away during the import")
    return found


def find_layer(repo: Repo, layer_id: str) -> LayerCommit | None:
    """Return the layer if an earlier run has finished it, tree and record; None if not."""
    branch = layer_branch(layer_id)
    checksum = repo.resolve(branch)
    if checksum is None:
        return None
    commit = repo.commit(checksum)
    if commit.partial:
        raise ImporterError(
            f"{branch} was pulled in part only", hint="pull the whole of it, or delete the branch"
        )
    record = repo.resolve(record_branch(layer_id))
    verified = UNVERIFIED not in commit.metadata
    if record is None and verified:
        return None
    files = repo.root(repo.commit(record)).leaves if record else {}

    def count(key: str) -> int:
        return int(commit.metadata[key])

    return LayerCommit(
        commit,
        files.get(record_name(layer_id).encode()),
        verified,
        count(DIFF_SIZE),
        count(WHITEOUTS),
        count(OPAQUE),
        count(DEVICES),
        count(STRAY_DEVICES),
        _parsed(commit.metadata[UIDS]),
        _parsed(commit.metadata[GIDS]),
    )


def numbers(ids: set[int]) -> str:
    """Return user or group ids as a layer commit's metadata lists them."""
    return ",".join(map(str, sorted(ids)))


def _parsed(numbers: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers.split(",") if number)


def record_name(layer_id: str) -> str:
    """Return the tar-split record's file name in overlay-layers."""
    return f"{layer_id}.tar-split.gz"


def check_devices(layer: ImageLayer, found: LayerCommit, device_nodes: DeviceNodes) -> None:
    """Raise LayerError if a cached layer omitted device nodes that `device_nodes` forbids now."""
    stray = device_nodes is DeviceNodes.AUTO and found.stray_devices
    if stray or (device_nodes is DeviceNodes.ERROR and (found.devices or found.stray_devices)):
        raise LayerError(
            f"the layer has {found.devices + found.stray_devices} device nodes, which were left"
            " out when it was imported",
            hint="--device-nodes=skip takes it so",
            digest=str(layer.blob.digest),
        )
