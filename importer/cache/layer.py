"""A layer in its branches. A layer with branches is not fetched and unpacked again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from importer.cache.branches import is_blob, layer_branch, record_branch
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
from layers.frozen import frozen
from layers.limits import DeviceNodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.values import RepoDirectory, StoredTree
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer


_COUNTS = (DIFF_SIZE, WHITEOUTS, OPAQUE, DEVICES, STRAY_DEVICES)
_NUMBER = re.compile("[0-9]{1,19}")


@frozen
class LayerCommit:
    """A layer in its branches.

    `diff_size` is the size of the uncompressed tar in bytes; `record` the checksum of the
    tar-split file's object, None for a layer whose tar is not kept; `whiteouts` counts the
    quoted whiteouts in the tree, `opaque` the opaque markers in the tar; `devices` and
    `stray_devices` the device nodes that were left out, below /dev and elsewhere. A `verified`
    layer, and all layers below, have the content that their diffIDs name.

    `shown` is the tree that a store has in place of the layer's own: with SELinux labels, or with
    files of the layers below. `added_entries` counts the entries of the layers below in it, None if
    it has none. `blocker` hides the directories that are whole in it (`layers.tree.blocked`); a
    layer with added entries and no blocker is cut.
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
    shown: RepoDirectory | None = None
    added_entries: int | None = None
    blocker: RepoDirectory | None = None

    @property
    def tree(self) -> StoredTree:
        """Return the tree for a store: `shown`, or the layer's own."""
        return self.shown or self.commit


def head_layer(repo: Repo, layer_id: str) -> LayerCommit:
    """Return a layer that has branches. Raise ImporterError if they are gone by now."""
    layer = find_layer(repo, layer_id)
    if layer is None:
        raise ImporterError(
            f"branch {layer_branch(layer_id)} was deleted during the import", hint="run it again"
        )
    return layer


def find_layer(repo: Repo, layer_id: str) -> LayerCommit | None:
    """Return the layer if its branches for tree and record exist, else None. A blob of an artifact
    has no record."""
    branch = layer_branch(layer_id)
    commit = repo.find_head(branch)
    if commit is None:
        return None
    if commit.partial:
        raise ImporterError(
            f"{branch} was pulled in part only", hint="pull the whole of it, or delete the branch"
        )
    record = None if is_blob(layer_id) else repo.resolve(record_branch(layer_id))
    verified = UNVERIFIED not in commit.metadata
    if record is None and verified and not is_blob(layer_id):
        return None
    files = repo.root(repo.commit(record)).leaves if record else {}
    facts = {key: _numbers(commit, branch, key) for key in (*_COUNTS, UIDS, GIDS)}
    return LayerCommit(
        commit,
        files.get(record_name(layer_id).encode()),
        verified,
        facts[DIFF_SIZE][0],
        facts[WHITEOUTS][0],
        facts[OPAQUE][0],
        facts[DEVICES][0],
        facts[STRAY_DEVICES][0],
        facts[UIDS],
        facts[GIDS],
    )


def _numbers(commit: Commit, branch: str, key: str) -> tuple[int, ...]:
    """Return the numbers that a layer's commit has under a key. Raise ImporterError if the value
    has another form."""
    value = commit.metadata.get(key)
    if value == "" and key not in _COUNTS:
        return ()
    numbers = value.split(",") if isinstance(value, str) else []
    if not numbers or not all(map(_NUMBER.fullmatch, numbers)):
        raise ImporterError(
            f"{branch} is not a layer that import-image made: {key} is {str(value)[:40]!r}",
            hint=f"delete the branch (ostree refs --delete {branch}); the layer is imported again",
        )
    return tuple(map(int, numbers))


def numbers(ids: Iterable[int]) -> str:
    """Return user or group ids as a layer commit's metadata lists them."""
    return ",".join(map(str, sorted(ids)))


def record_name(layer_id: str) -> str:
    """Return the tar-split record's file name in overlay-layers."""
    return f"{layer_id}.tar-split.gz"


def check_devices(layer: ImageLayer, cached: LayerCommit, device_nodes: DeviceNodes) -> None:
    """Raise LayerError if a cached layer omitted device nodes that `device_nodes` forbids now."""
    stray = device_nodes is DeviceNodes.AUTO and cached.stray_devices
    if stray or (device_nodes is DeviceNodes.ERROR and (cached.devices or cached.stray_devices)):
        raise LayerError(
            f"the layer has {cached.devices + cached.stray_devices} device nodes, which were left"
            " out when it was imported",
            hint="--device-nodes=skip takes it so",
            digest=str(layer.blob.digest),
        )
