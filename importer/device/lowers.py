"""The trees that overlayfs mounts below a layer, as containers-storage's driver finds it.

`lower-layers` has ids joined by `:`, and counts first (container-libs 1.63); `lower` has links of
`overlay/l`, which any store may have (drivers/overlay/overlay.go, `get`). The nearest comes first.
"""

from __future__ import annotations

import re
from typing import AbstractSet, List, Optional, Sequence, Set, Tuple

from importer.device.folder import Folder
from importer.device.records import Chains

BY_ID, BY_LINK = "lower-layers", "lower"
# The driver takes 500 lowers at most.
_LONGEST = 1 << 16
_ID = re.compile(r"[0-9a-f]{64}")
_LINK = re.compile(r"[A-Z0-9]{26}")
_LONGEST_LINK = 64
_TARGET = re.compile(r"\.\./([0-9a-f]{64})/(diff|blocker)")
# A store, and a layer's tree in it.
Lower = Tuple[Folder, str]


def names_below(folder: Folder, layer: str, file: str) -> Optional[List[str]]:
    """Return the names in one of a layer's files, given its directory; None if it has none."""
    data = folder.read(f"{layer}/{file}", _LONGEST)
    if data is None:
        return None
    return [one for one in data.decode("ascii", "replace").strip().split(":") if one]


def lower_tree(name: str, stores: Sequence[Folder]) -> Optional[Lower]:
    """Return the tree that a name stands for; None if no store has it."""
    for store in stores:
        if _ID.fullmatch(name):
            tree: Optional[str] = f"overlay/{name}/diff"
        else:
            link = name.startswith("l/") and _LINK.fullmatch(name[2:])
            target = _TARGET.fullmatch(store.target(f"overlay/{name}") or "") if link else None
            tree = f"overlay/{target.group(1)}/{target.group(2)}" if target else None
        if tree and store.status(tree):
            return store, tree
    return None


def mounts(storage: Folder, layer: str, stores: Sequence[Folder]) -> Optional[bool]:
    """Return whether all below a layer is there; None if the layer does not say what is below."""
    for file in (BY_ID, BY_LINK):
        names = names_below(storage, layer, file)
        if names is not None:
            return all(lower_tree(one, (storage, *stores)) for one in names)
    return None


def link_of(folder: Folder, layer: str) -> Optional[str]:
    """Return the name of a layer's link below `overlay/l`; None if it has none of a valid form."""
    text = (folder.read(f"{layer}/link", _LONGEST_LINK) or b"").decode("ascii", "replace").strip()
    return text if _LINK.fullmatch(text) else None


def name_lowers_anew(
    storage: Folder, chains: Chains, stores: Sequence[Folder], *, but: AbstractSet[str]
) -> List[str]:
    """Write the file `lower` anew of each layer that has all parents, but cannot be mounted.

    A layer that was aside names its parents by the links that they had in a store; they may have
    been pulled since. The driver writes the same for a new layer (`getLower`). Layers in `but`
    stay as they are. Return the ids of the others that changed.
    """
    done: List[str] = []
    seen: Set[str] = set()
    for top in chains.own:
        for layer in reversed([one for one in chains.chain(top) if one not in seen]):
            seen.add(layer)
            parent = "".join(chains.own[layer].below)
            if parent and layer not in but and not chains.missing([layer]):
                done += [layer] if _names_anew(storage, layer, parent, stores) else []
    return done


def _names_anew(storage: Folder, layer: str, parent: str, stores: Sequence[Folder]) -> bool:
    places = (storage, *stores)
    wrong = []
    for file in (BY_LINK, BY_ID):
        names = names_below(storage, f"overlay/{layer}", file)
        if names is not None and not all(lower_tree(one, places) for one in names):
            wrong.append(file)
    lower = _below(parent, places) if wrong else None
    if lower is None:
        return False
    storage.write(f"overlay/{layer}/{BY_LINK}", lower.encode())
    if BY_ID in wrong:
        storage.unlink(f"overlay/{layer}/{BY_ID}")
    return True


def _below(parent: str, places: Sequence[Folder]) -> Optional[str]:
    """Return what the file `lower` of a child says; None if the parent has no link."""
    for place in places:
        link = link_of(place, f"overlay/{parent}")
        if link:
            return ":".join(
                [f"l/{link}", *(names_below(place, f"overlay/{parent}", BY_LINK) or ())]
            )
    return None
