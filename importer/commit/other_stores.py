"""Find container images of a base commit that our store's readers do not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.store.writer import has_records

if TYPE_CHECKING:
    from importer.commit.base_tree import CommitTree

# osbuild's edge images have their store there.
_OSBUILD = "/usr/share/containers/storage"


def other_stores(tree: CommitTree, prefix: str) -> list[str]:
    """Return what to tell the user of a second store, and of `dir:` trees below the prefix."""
    told = []
    other = tree.before(_OSBUILD) if prefix != _OSBUILD else None
    if other is not None and has_records(other):
        told.append(
            f"the base commit has a store at {_OSBUILD} too, which stays as it is: podman and CRI-O"
            f" read it if storage.conf names it; --prefix={_OSBUILD} --existing-store=merge"
            " adds to it instead"
        )
    place = tree.before(prefix)
    below = place.directories.values() if place is not None else ()
    # The marker of skopeo's dir: transport.
    count = sum(b"version" in one.leaves and b"manifest.json" in one.leaves for one in below)
    if count:
        told.append(
            f"the base commit has images of skopeo's dir: transport in {prefix} ({count}), as"
            " MicroShift's image builder puts them there; they stay beside the store, and a boot"
            " that copies them makes second copies in /var"
        )
    return told
