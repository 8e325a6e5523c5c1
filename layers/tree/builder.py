"""Build a layer's own tree from the entries of its tar."""

from __future__ import annotations

from typing import Any

from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError, printable
from layers.frozen import frozen
from layers.limits import DeviceNodes
from layers.path import Path, components, target_text
from layers.tree.node import Directory, Gap, Leaf, Node, from_rows, rows, walk
from layers.whiteout import (
    AUFS_PREFIX,
    OPAQUE_MARKER,
    hidden_name,
    is_aufs_leftover,
    is_whiteout,
    refuse_quoted,
)

_PATH_MAX = 4096  # include/uapi/linux/limits.h, with the NUL
_STATE = ("links", "opaque_markers", "skipped_devices", "stray_devices", "uids", "gids")


@frozen
class LowerLink:
    """A hardlink to a file that this layer does not have. Both paths as the tar spells them."""

    leaf: Leaf
    path: bytes
    target: bytes


class LayerTree:
    """The tree of one layer, built entry by entry. The last entry of a path wins.

    If the entry is a file or symlink, `add` returns the new leaf; the caller stores the file and
    sets the leaf's checksum.
    """

    def __init__(self, device_nodes: DeviceNodes = DeviceNodes.AUTO) -> None:
        self.root = Directory(real=True)
        self.links: list[LowerLink] = []
        self.opaque_markers = 0
        self.skipped_devices = 0  # below /dev
        self.stray_devices = 0  # elsewhere
        self.uids: set[int] = set()
        self.gids: set[int] = set()
        self._device_nodes = device_nodes
        # The directory of the last entry: the next one's is mostly the same.
        self._last_parents: Path | None = None
        self._last_parent = self.root

    def __getstate__(self) -> dict[str, Any]:
        """Return the finished tree for pickle. Nothing can be added to the copy."""
        kept = {name: vars(self)[name] for name in _STATE}
        return {**kept, "root": rows(self.root)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, root=from_rows(state["root"]))

    def add(self, entry: Entry) -> Leaf | None:
        """Add an entry. Raise LayerError, with the path, for an entry that has no place in a
        layer."""
        try:
            return self._add(components(entry.path), entry)
        except LayerError as error:
            raise error.within(path=entry.path) from None

    def _add(self, path: Path, entry: Entry) -> Leaf | None:
        if not path:
            self._add_root(entry)
            return None
        if AUFS_PREFIX in entry.path and any(is_aufs_leftover(name) for name in path):
            return None
        name = path[-1]
        if is_whiteout(name):
            self._add_whiteout(path, entry)
        elif entry.kind is Kind.CHAR and entry.device == (0, 0):
            # overlayfs's own form of a whiteout.
            self._leave_gap(path, Gap.WHITEOUT)
        elif entry.kind in (Kind.CHAR, Kind.BLOCK, Kind.FIFO):
            self._leave_out_device(path, entry.kind)
        elif entry.kind is Kind.DIRECTORY:
            self._add_directory(path, entry.owner)
        elif entry.kind is Kind.HARDLINK:
            self._add_link(path, entry)
        else:
            return self._add_leaf(path, entry)
        return None

    def _add_leaf(self, path: Path, entry: Entry) -> Leaf:
        if entry.kind is Kind.SYMLINK:
            _check_target(entry.link)
        self._note_ids(entry.owner)
        leaf = Leaf()
        self._place(path, leaf)
        return leaf

    def _note_ids(self, owner: Owner) -> None:
        self.uids.add(owner.uid)
        self.gids.add(owner.gid)

    def _add_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise LayerError("the layer's root is not a directory")
        self.root.owner = entry.owner

    def _add_whiteout(self, path: Path, entry: Entry) -> None:
        if entry.kind is Kind.DIRECTORY:
            raise LayerError("a whiteout that is a directory")
        if path[-1] == OPAQUE_MARKER:
            self._parent(path, real=False).opaque = True
            self.opaque_markers += 1
        else:
            self._parent(path, real=False).whiteouts.add(hidden_name(path[-1]))

    def _add_directory(self, path: Path, owner: Owner) -> None:
        parent = self._parent(path, real=True)
        present = parent.entries.get(path[-1])
        if not isinstance(present, Directory):
            refuse_quoted(path[-1])
            if present is not None:
                self._lose(present)
            # The entry that had the name before has removed the lower layers' entry.
            present = parent.entries[path[-1]] = Directory(opaque=present is not None)
        self._note_ids(owner)
        present.owner = owner
        present.real = True

    def _place(self, path: Path, leaf: Leaf) -> None:
        name = path[-1]
        refuse_quoted(name)
        entries = self._parent(path, real=True).entries
        present = entries.get(name)
        if present is not None and present is not leaf:
            self._lose(present)
        entries[name] = leaf

    def _add_link(self, path: Path, entry: Entry) -> None:
        """Add another name of a file. The link's own owner and mode are ignored, as by umoci and
        GNU tar, since a hard link has none."""
        present = self._find(components(entry.link))
        if isinstance(present, Gap):
            self._leave_gap(path, present)
            return
        if isinstance(present, Directory) and present.real:
            raise LayerError(f"hardlink to the directory {printable(entry.link)}")
        if not isinstance(present, Leaf):
            present = Leaf()
            self.links.append(LowerLink(present, entry.path, entry.link))
        self._place(path, present)

    def _find(self, target: Path) -> Node | None:
        """Return the node at the target of a hardlink, None if this layer has none so far."""
        node: Node | None = self.root
        for name in target:
            if not isinstance(node, Directory):
                raise LayerError("the hardlink's target is below something that is no directory")
            node = node.entries.get(name)
            if node is None:
                return None
        return node

    def _parent(self, path: Path, *, real: bool) -> Directory:
        """Return the parent directory of `path`. Make the directories that the tar did not list."""
        parents = path[:-1]
        if parents == self._last_parents and (self._last_parent.real or not real):
            return self._last_parent
        node = self.root
        for name in parents:
            below = node.entries.get(name)
            if below is None:
                _refuse_special(name)
                below = node.entries[name] = Directory()
            elif not isinstance(below, Directory):
                raise LayerError("the path leads through something that is not a directory")
            below.real = below.real or real
            node = below
        self._last_parents, self._last_parent = parents, node
        return node

    def _leave_out_device(self, path: Path, kind: Kind) -> None:
        what = "a fifo" if kind is Kind.FIFO else f"a {kind.name.lower()} node"
        self._device_nodes.check(what, in_dev=len(path) > 1 and path[0] == b"dev")
        self._leave_gap(path, Gap.DEVICE)

    def _leave_gap(self, path: Path, gap: Gap) -> None:
        """Put a gap at this path: neither this layer nor a lower one has anything there."""
        name = path[-1]
        refuse_quoted(name)
        if gap is Gap.DEVICE:
            in_dev = path[0] == b"dev"
            self.skipped_devices += in_dev
            self.stray_devices += not in_dev
        parent = self._parent(path, real=gap is Gap.DEVICE)
        present = parent.entries.get(name)
        if present is not None:
            self._lose(present)
        parent.entries[name] = gap
        parent.whiteouts.add(name)

    def _lose(self, node: Node) -> None:
        """Mark each file below the node as lost: another entry has its path now."""
        self._last_parents = None
        if isinstance(node, Leaf):
            node.lost = True
        elif isinstance(node, Directory):
            for directory in walk(node):
                for leaf in directory.entries.values():
                    if isinstance(leaf, Leaf):
                        leaf.lost = True


def _refuse_special(name: bytes) -> None:
    if is_whiteout(name):
        raise LayerError("the path leads through a whiteout")
    refuse_quoted(name)


def _check_target(target: bytes) -> None:
    if not 0 < len(target) < _PATH_MAX:
        raise LayerError(f"symlink to a path of {len(target)} bytes; Linux has 1 to 4095")
    target_text(target)
