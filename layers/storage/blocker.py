"""Name a layer's blocker, the tree that overlayfs mounts directly below the layer.

The blocker lies beside the layer's `diff`, and the layer's file `lower` names it first, by a link
of its own. containers-storage mounts all that this file names, and copies the names into the file
of each layer and container above (drivers/overlay/overlay.go, `get`, `getLower`). If the first name
is not the parent's (`isParent`), `podman image diff` compares the mounted trees; else it would look
for whiteouts in `diff`, and find no deletion.

A symlink that leads nowhere is at the place of each directory that ends. A file would do for
overlayfs, but `podman diff` looks for each changed path in all lower directories, and fails where a
part of the path is a file (pkg/archive/changes.go, `changes`).
"""

from __future__ import annotations

from layers.storage.layer_id import link_name

BLOCKER = "blocker"
TARGET = "nothing-below"


def blocker_link(store_id: str) -> str:
    """Return the name under `overlay/l` of the blocker of a layer, given by its id in the store."""
    return link_name(f"blocker:{store_id}")


def blocker_place(store_id: str) -> str:
    """Return where that link leads."""
    return f"../{store_id}/{BLOCKER}"
