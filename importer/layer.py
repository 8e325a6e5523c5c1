"""One layer, from its blob to its branch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.branches import layer_branch, record_branch
from importer.channel import ReadAhead
from importer.merged import stacked
from importer.objects import ObjectWriter
from importer.repo import Commit, Message, Repo, Tree
from layers.decompress import decompressed
from layers.entry import Owner
from layers.errors import Fault, LayerError
from layers.layer import LayerReader
from layers.settle import Settled, settle
from layers.tree import DeviceNodes
from layers.verify import DiffID, drain
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.blobs import Blobs
    from importer.repo import RepoDirectory, StoredTree
    from layers.image import ImageLayer
    from layers.limits import Limits
    from layers.tree import LayerTree
    from layers.verify import Chunks

_log = logging.getLogger(__name__)
_KEY = "import-image."
_UNVERIFIED = "unverified"
# An empty file without any permission: ostree gives the whiteout the quoted file's mode.
_WHITEOUT = Owner(0, 0, 0)
_ROOT = Owner(0o755, 0, 0)
_RECORD = Owner(0o644, 0, 0)


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
        """The tree that goes into a store: the layer's own, or the same with SELinux labels."""
        return self.labelled or self.commit


@dataclass(frozen=True, slots=True)
class LayerOptions:
    """What a layer may contain."""

    device_nodes: DeviceNodes
    limits: Limits


def find_layer(repo: Repo, layer_id: str) -> LayerCommit | None:
    """The layer, if an earlier run has finished it: tree and record."""
    checksum = repo.resolve(layer_branch(layer_id))
    if checksum is None:
        return None
    commit = repo.commit(checksum)
    record = repo.resolve(record_branch(layer_id))
    verified = _KEY + _UNVERIFIED not in commit.metadata
    if record is None and verified:
        return None
    files = repo.root(repo.commit(record)).leaves if record else {}

    def count(name: str) -> int:
        return int(commit.metadata[_KEY + name])

    return LayerCommit(
        commit,
        files.get(record_name(layer_id).encode()),
        verified,
        count("diff-size"),
        count("whiteouts"),
        count("opaque"),
        count("devices"),
        count("stray-devices"),
        _parsed(commit.metadata[_KEY + "uids"]),
        _parsed(commit.metadata[_KEY + "gids"]),
    )


def numbers(ids: set[int]) -> str:
    """User or group ids, as a layer commit's metadata lists them."""
    return ",".join(map(str, sorted(ids)))


def _parsed(numbers: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers.split(",") if number)


def record_name(layer_id: str) -> str:
    """The tar-split record's file name in overlay-layers."""
    return f"{layer_id}.tar-split.gz"


def check_devices(layer: ImageLayer, found: LayerCommit, device_nodes: DeviceNodes) -> None:
    """A layer that is here already may have been imported with more leave than now."""
    stray = device_nodes is DeviceNodes.AUTO and found.stray_devices
    if stray or (device_nodes is DeviceNodes.ERROR and (found.devices or found.stray_devices)):
        raise LayerError(
            f"the layer has {found.devices + found.stray_devices} device nodes, which were left"
            " out when it was imported",
            hint="--device-nodes=skip takes it so",
            digest=str(layer.blob.digest),
        )


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer whose files are stored: its tree, its tar's size in bytes, its tar-split record.

    `dropped_xattrs` counts those that are not in the tree. Without a record nobody could tell
    whether the tree is the one that the diffID names.
    """

    tree: LayerTree
    dropped_xattrs: int
    diff_size: int
    record: bytes | None


def read_layer(repo: Repo, layer: ImageLayer, read: Callable[[], ReadLayer]) -> ReadLayer:
    """Store the layer's files, by `read`; they are durable when it is back.

    The caller has the repo locked until the layer has its branches: see `close_layer`.
    """
    try:
        with repo.transaction():
            return read()
    except Fault as error:
        raise error.within(digest=str(layer.blob.digest)) from None


def close_layer(repo: Repo, layer: ImageLayer, found: ReadLayer, *, verified: bool = True) -> None:
    """Translate and commit the layer, and set its branches; its parents have theirs.

    The tree is made durable by a transaction of its own before the commit that names it, as
    its files were, so that a kill at any point leaves no commit behind whose objects are
    missing.
    """
    try:
        _close(repo, layer, found, verified)
    except Fault as error:
        raise error.within(digest=str(layer.blob.digest)) from None


def _close(repo: Repo, layer: ImageLayer, found: ReadLayer, verified: bool) -> None:
    with repo.transaction():
        settled = settle(found.tree, stacked(repo, layer.parents))
        tree, whiteouts = _layer_tree(repo, settled)
        tree.write()
        record = record_tree(repo, layer, found.record) if found.record else None
    facts = {
        "diff-size": found.diff_size,
        "whiteouts": whiteouts,
        "opaque": found.tree.opaque_markers,
        "devices": found.tree.skipped_devices,
        "stray-devices": found.tree.stray_devices,
        "dropped-xattrs": found.dropped_xattrs,
        "uids": numbers(found.tree.uids),
        "gids": numbers(found.tree.gids),
    }
    if not verified:
        facts[_UNVERIFIED] = "1"
    commit_layer(repo, layer, tree, record, facts)


def commit_layer(
    repo: Repo, layer: ImageLayer, tree: Tree, record: Tree | None, facts: dict[str, object]
) -> None:
    """Commit what a transaction has written, and set the layer's branches.

    Both commits are functions of the layer alone: they have no time and name no image.
    """
    parent = layer.parents[0] if layer.parents else ""
    facts = {"diff-id": layer.diff_id, "parent": parent, **facts}
    metadata = tuple((_KEY + name, str(value)) for name, value in facts.items())
    with repo.transaction():
        message = Message(f"Layer {layer.id}", 0, metadata=metadata)
        checksum = repo.write_commit(tree, message)
        if record is not None:
            subject = f"tar-split record of {layer.id}"
            repo.set_ref(record_branch(layer.id), repo.write_commit(record, Message(subject, 0)))
        repo.set_ref(layer_branch(layer.id), checksum)
    _log.debug("layer %s: commit %s, %s bytes of tar", layer.id, checksum, facts["diff-size"])


def fetch_layer(
    repo: Repo, blobs: Blobs, source: str, layer: ImageLayer, options: LayerOptions
) -> ReadLayer:
    """Read the layer out of its blob."""
    blob = blobs.stream(source, layer.available)
    try:
        tar = decompressed(blob, layer.available.media_type, layer.available_compression)
        return read_tar(repo, tar, layer, options)
    except LayerError:
        drain(blob)  # where the blob itself is broken, that is the error to tell
        raise
    finally:
        blob.close()


def read_tar(repo: Repo, chunks: Chunks, layer: ImageLayer, options: LayerOptions) -> ReadLayer:
    """Write the layer's files while its tar passes by, and check the diffID of it all."""
    tar = DiffID(chunks, layer.diff_id, options.limits.size)
    with ReadAhead(iter(tar)) as ahead, ObjectWriter(repo) as objects:
        reader = LayerReader(iter(ahead), options.device_nodes, options.limits)
        for leaf, entry in reader:
            objects.add(leaf, entry, reader)
    record = reader.tar_split(repo.content)
    return ReadLayer(reader.tree, reader.dropped_xattrs, tar.size, record)


def _layer_tree(repo: Repo, settled: Settled) -> tuple[Tree, int]:
    """The tree, whiteouts quoted, and how many those are."""
    root = repo.tree(settled.meta)
    whiteout = repo.write_file(_WHITEOUT, b"")
    count = 0
    work = [(root, settled)]
    while work:
        tree, directory = work.pop()
        for name, leaf in directory.leaves.items():
            tree.file(name.decode(), leaf.checksum)
        for name in directory.whiteouts:
            tree.file(quoted(name).decode(), whiteout)
            count += 1
        for name, below in directory.directories.items():
            work.append((tree.directory(name.decode(), below.meta), below))
    return root, count


def record_tree(repo: Repo, layer: ImageLayer, record: bytes) -> Tree:
    """What the record's branch has, written already: the tar-split file as a store names it."""
    tree = repo.tree(_ROOT)
    tree.file(record_name(layer.id), repo.write_file(_RECORD, record))
    tree.write()
    return tree
