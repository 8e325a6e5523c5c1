"""The trees that overlayfs mounts below a layer, as containers-storage's driver finds them.

A layer's file `lower-layers` has ids joined by `:`, and counts first (container-libs 1.63). Its
file `lower` has links below `overlay/l`, in any store (drivers/overlay/overlay.go, `get`). The
nearest layer comes first.
"""

from __future__ import annotations

import re
from typing import AbstractSet, List, Optional, Sequence, Set, Tuple

from importer.device.folder import Folder
from importer.device.records import Chains
from layers.storage.holders import Holder, first_missing

# The driver mounts 500 layers at most.
_LONGEST = 1 << 16
_ID = re.compile(r"[0-9a-f]{64}")
_LINK = re.compile(r"[A-Z0-9]{26}")
_LONGEST_LINK = 64
_TARGET = re.compile(r"\.\./([0-9a-f]{64})/(diff|blocker)")
# A store, and the path of a layer's tree in it.
Lower = Tuple[Folder, str]


def names_by(folder: Folder, layer: str, holder: Holder) -> Optional[List[str]]:
    """Return the names in a file of a layer; None if it has no such file."""
    data = folder.read(f"overlay/{layer}/{holder.value}", _LONGEST)
    if data is None:
        return None
    return [name for name in data.decode("ascii", "replace").strip().split(":") if name]


def lower_names(folder: Folder, layer: str) -> Optional[List[str]]:
    """Return the names that stand for the trees below a layer; None if no file has any."""
    listed = (names_by(folder, layer, holder) for holder in Holder)
    return next((names for names in listed if names is not None), None)


def lower_tree(name: str, stores: Sequence[Folder]) -> Optional[Lower]:
    """Return the tree that a name stands for; None if no store has it."""
    for store in stores:
        path = f"overlay/{name}/diff" if _ID.fullmatch(name) else ""
        if name.startswith("l/") and _LINK.fullmatch(name[2:]):
            target = _TARGET.fullmatch(store.target(f"overlay/{name}") or "")
            path = f"overlay/{target[1]}/{target[2]}" if target else ""
        if path and store.status(path):
            return store, path
    return None


def mounts(storage: Folder, layer: str, stores: Sequence[Folder]) -> Optional[bool]:
    """Return whether all trees below a layer are there; None if no file names them."""
    names = lower_names(storage, layer)
    return None if names is None else _are_there(names, (storage, *stores))


def _are_there(names: Sequence[str], places: Sequence[Folder]) -> bool:
    return first_missing(names, lambda name: lower_tree(name, places) is not None) is None


def link_of(folder: Folder, layer: str) -> Optional[str]:
    """Return the name of a layer's link below `overlay/l`; None if it has none of a valid form."""
    data = folder.read(f"overlay/{layer}/link", _LONGEST_LINK) or b""
    text = data.decode("ascii", "replace").strip()
    return text if _LINK.fullmatch(text) else None


def name_lowers_anew(
    storage: Folder, chains: Chains, stores: Sequence[Folder], *, but: AbstractSet[str]
) -> List[str]:
    """Write the file `lower` anew of each layer that has all parents, but cannot be mounted.

    A layer that was aside names its parents by the links that they had in a store; they may have
    been pulled since. The driver writes the same for a new layer (`getLower`). Layers in `but`
    stay as they are. Return the ids of the changed layers.
    """
    changed: List[str] = []
    seen: Set[str] = set()
    for top in chains.own:
        for layer in reversed([own for own in chains.chain(top) if own not in seen]):
            seen.add(layer)
            parent = chains.own[layer].top
            if parent and layer not in but and not chains.missing([layer]):
                changed += [layer] if _names_anew(storage, layer, parent, stores) else []
    return changed


def _names_anew(storage: Folder, layer: str, parent: str, stores: Sequence[Folder]) -> bool:
    places = (storage, *stores)
    files = {holder: names_by(storage, layer, holder) for holder in Holder}
    wrong = [holder for holder, names in files.items() if names and not _are_there(names, places)]
    lower = _below(parent, places) if wrong else None
    if lower is None:
        return False
    storage.write(f"overlay/{layer}/{Holder.LINKS.value}", lower.encode())
    if Holder.IDS in wrong:
        storage.unlink(f"overlay/{layer}/{Holder.IDS.value}")
    return True


def _below(parent: str, places: Sequence[Folder]) -> Optional[str]:
    """Return the content of the file `lower` of a child; None if the parent has no link."""
    for place in places:
        link = link_of(place, parent)
        if link:
            return ":".join([f"l/{link}", *(names_by(place, parent, Holder.LINKS) or ())])
    return None
