"""Name the trees that overlayfs mounts for a layer, and write the files that list them.

containers-storage mounts what a layer's own files list, whatever layers.json says of its parents
(drivers/overlay/overlay.go, `get`). Up to 1.62 it reads `lower`, which has names of symlinks under
`overlay/l`. From 1.63 on (podman 6; Debian's podman 5.8.6 has 1.64) it reads `lower-layers`, which
has ids, and appends `/diff` to each. Without that file it takes the id out of each symlink's
target, which therefore has to be `../<id>/diff`. A new layer or container gets the lists of the
layer below, with that layer before them.

A *blocker* is a tree that is mounted directly below a layer, in a directory of its own that no
record names. The blocker is the first in the layer's lists, where other layers have their parent:
therefore `podman image diff` compares the mounted trees (`isParent`), and does not look for
whiteouts in `diff`, where it would find no deletion.

A blocker has a symlink that leads nowhere in the place of each directory that it ends. overlayfs
would take a file, too, but `podman diff` looks for each changed path in all lower directories, and
fails where a part of the path is a file (pkg/archive/changes.go, `changes`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from layers.storage.holders import Holder
from layers.storage.layer_id import link_name

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = "nothing-below"


class MountedTree(NamedTuple):
    """The tree `overlay/<id>/diff`; `link` is its name under `overlay/l`."""

    id: str
    link: str

    @property
    def target(self) -> str:
        """Return where the link leads."""
        return f"../{self.id}/diff"


def blocker_of(store_id: str) -> MountedTree:
    """Return the place of the blocker of a layer, given by its id in the store."""
    blocker_id = sha256(f"blocker{store_id}".encode()).hexdigest()
    return MountedTree(blocker_id, link_name(blocker_id))


def lower_files(below: Sequence[MountedTree]) -> dict[str, bytes]:
    """Return the files that list the trees below a layer, nearest first; {} for no trees."""
    if not below:
        return {}
    return {
        Holder.LINKS.value: ":".join(f"l/{tree.link}" for tree in below).encode(),
        Holder.IDS.value: ":".join(tree.id for tree in below).encode(),
    }
