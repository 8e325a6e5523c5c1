"""Close layers in groups: translate their deletions, write and commit their trees, set branches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch, record_branch
from importer.cache.layer import numbers, record_name
from importer.cache.stack import Stacks
from importer.repo import commit_keys as key
from importer.repo.values import Message
from layers.entry import Owner
from layers.errors import within
from layers.frozen import frozen
from layers.tree.translate import settle, write_settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from layers.ostree.objects import Stored
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer

_log = logging.getLogger(__name__)
# An empty file without any permission: ostree gives the whiteout the quoted file's mode.
_WHITEOUT = Owner(0, 0, 0)
_ROOT = Owner(0o755, 0, 0)
_RECORD = Owner(0o644, 0, 0)


@frozen
class ClosedLayer:
    """A layer whose trees are written: its own, and the one of its tar-split record."""

    root: RepoDirectory
    record: Stored | None
    facts: Mapping[str, object]


def layer_groups(repo: Repo) -> Callable[[], LayerGroup]:
    """Return a function that makes a group. All groups of one import share their `Stacks`."""
    stacks = Stacks()
    return lambda: LayerGroup(repo.again(), stacks)


class LayerGroup:
    """Layers whose trees are written in one transaction, and whose commits in the next one.

    Files and trees are durable before the commits that name them are written. So a kill at any
    point leaves no commit whose objects are missing.
    """

    def __init__(self, repo: Repo, stacks: Stacks) -> None:
        self._repo = repo
        self._stacks = stacks
        self._closed: dict[str, ClosedLayer] = {}

    @property
    def written_bytes(self) -> int:
        """Return the bytes that both transactions added to the repo's files."""
        return self._repo.written_bytes

    def writing(self) -> AbstractContextManager[object]:
        """Open the first transaction."""
        return self._repo.transaction()

    def write(self, layer: ImageLayer, read: ReadLayer) -> None:
        """Translate a layer and write its tree. Its parents are in the group, or committed.

        The files that the tree names may still be on their way to the disk.
        """
        with within(digest=str(layer.blob.digest)):
            self._closed[layer.id] = self._write(layer, read)

    def _write(self, layer: ImageLayer, read: ReadLayer) -> ClosedLayer:
        made = {name: closed.root for name, closed in self._closed.items()}
        settled = settle(read.tree, self._stacks.below(self._repo, layer.parents, made))
        whiteout = self._repo.write_file(_WHITEOUT, b"")
        written = write_settled(settled, self._repo.store, lambda *_: whiteout)
        whiteouts = sum(len(directory.whiteouts) for directory in written)
        root = self._repo.directory(*written[settled])
        record = record_tree(self._repo, layer, read.record) if read.record else None
        return ClosedLayer(root, record, _facts(read, whiteouts))

    def commit(self, layers: Iterable[ImageLayer]) -> None:
        """Commit these layers of the group. All of their files have to be durable."""
        with self._repo.transaction():
            for layer in layers:
                commit_layer(self._repo, layer, self._closed[layer.id])


def _facts(read: ReadLayer, whiteouts: int) -> Mapping[str, object]:
    facts: dict[str, object] = {
        key.DIFF_SIZE: read.diff_size,
        key.WHITEOUTS: whiteouts,
        key.OPAQUE: read.tree.opaque_markers,
        key.DEVICES: read.tree.skipped_devices,
        key.STRAY_DEVICES: read.tree.stray_devices,
        key.DROPPED_XATTRS: read.dropped_xattrs,
        key.UIDS: numbers(read.tree.uids),
        key.GIDS: numbers(read.tree.gids),
    }
    if not read.verified:
        facts[key.UNVERIFIED] = "1"
    return facts


def record_tree(repo: Repo, layer: ImageLayer, record: bytes) -> Stored:
    """Write the tree of the record's branch: the tar-split file, under its name in a store."""
    tree = repo.tree(_ROOT)
    tree.file(record_name(layer.id), repo.write_file(_RECORD, record))
    return tree.write()


def commit_layer(repo: Repo, layer: ImageLayer, closed: ClosedLayer) -> None:
    """Commit a layer's tree and record, and set its branches, in a later transaction than the one
    that wrote them.

    The commits have no time and name no image, so that they depend on the layer alone.
    """
    parent = layer.parents[0] if layer.parents else ""
    facts = {key.DIFF_ID: layer.diff_id, key.PARENT: parent, **closed.facts}
    metadata = tuple((name, str(value)) for name, value in facts.items())
    kind = "Blob" if layer.is_file else "Layer"
    message = Message(f"{kind} {layer.id}", 0, metadata=metadata)
    checksum = repo.write_commit(closed.root, message)
    if closed.record is not None:
        subject = key.RECORD + layer.id
        repo.set_ref(record_branch(layer.id), repo.write_commit(closed.record, Message(subject, 0)))
    repo.set_ref(layer_branch(layer.id), checksum)
    _log.debug("layer %s: commit %s, %s bytes of tar", layer.id, checksum, facts[key.DIFF_SIZE])
