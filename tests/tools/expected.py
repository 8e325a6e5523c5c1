"""What an import must give, computed from the image alone and by other tools."""

import hashlib
from dataclasses import replace
from pathlib import Path

from tests.tools import ostreerepo, umoci
from tests.tools.overlay import overlay_mount
from tests.tools.snapshot import Node, Snapshot, snapshot
from tests.tools.store import store_lowers

#: Where the store lies in a commit, unless `--prefix` says otherwise.
STORE = "usr/lib/containers/storage"


def layer_ids(diff_ids: tuple[str, ...]) -> list[str]:
    """containers/image storage_dest.go: the base's diffID, then SHA-256 of "PARENT+DIFFID"."""
    ids: list[str] = []
    for diff_id in diff_ids:
        encoded = diff_id.partition(":")[2]
        chained = hashlib.sha256(f"{ids[-1]}+{encoded}".encode()).hexdigest() if ids else encoded
        ids.append(chained)
    return ids


def private_ids(diff_ids: tuple[str, ...], form: str = "quoted") -> list[str]:
    """The layers' ids in a store of ours: a hash of the form's name and of the standard id."""
    named = (f"import-image:{form}:{one}" for one in layer_ids(diff_ids))
    return [hashlib.sha256(name.encode()).hexdigest() for name in named]


def blocker_id(layer_id: str) -> str:
    """The id of the directory that ends some directories below a layer of such a store."""
    return hashlib.sha256(f"blocker{layer_id}".encode()).hexdigest()


def unpacked(layout: Path, tag: str, dest: Path) -> Snapshot:
    """What umoci makes of `layout:tag`, with the root that podman gives every image."""
    found = snapshot(umoci.unpack(layout, tag, dest))
    root: Node = found[b"."]
    found[b"."] = replace(root, mode=0o555, uid=0, gid=0, xattrs={})
    return found


def checked_out_store(repo: Path, branch: str, dest: Path, prefix: str = STORE) -> Path:
    """The store of an image branch, checked out as root with its whiteouts."""
    return ostreerepo.checkout(repo, branch, dest) / prefix


def merged(store: Path, image_id: str, where: Path) -> Snapshot:
    """The image's tree, as the kernel merges the store's layers."""
    with overlay_mount(store_lowers(store, image_id), where) as mounted:
        return snapshot(mounted)
