"""The read-only image stores beside a device's own storage."""

from __future__ import annotations

import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, List, Optional, Tuple

from importer.device.configured import Configured
from importer.device.folder import DeviceError, Folder, opened
from importer.device.records import ALL_LAYERS, LAYERS, recorded


@dataclass(frozen=True)
class ImageStore:
    """A store that can be read, with the ids of its layers."""

    folder: Folder
    layers: FrozenSet[str]


@dataclass(frozen=True)
class DeviceStores:
    """All stores that can be read. `doubts`: a line for each that may have layers unseen."""

    found: Tuple[ImageStore, ...]
    doubts: Tuple[str, ...]

    @property
    def layers(self) -> FrozenSet[str]:
        return frozenset().union(*(store.layers for store in self.found))


def opened_stores(
    configured: Configured, held: ExitStack, system: Path = Path("/")
) -> DeviceStores:
    """Open the stores until `held` ends; their paths are below `system`.

    A store that is needed is in doubt if it is absent or has no records, as a directory that
    nothing is mounted on yet; and so is every store whose records cannot be read, or are empty.
    """
    found: List[ImageStore] = []
    doubts = list(configured.doubts)
    for path in dict.fromkeys((*configured.usual, *configured.named)):
        needed = configured.named.get(path)
        try:
            store = _opened(system / path.lstrip("/"), held, needed)
        except DeviceError as error:
            doubts.append(str(error))
        else:
            found += [store] if store else []
    return DeviceStores(tuple(found), tuple(doubts))


def _opened(path: Path, held: ExitStack, needed: Optional[str]) -> Optional[ImageStore]:
    folder = opened(path)
    if folder is None:
        if needed:
            raise DeviceError(f"the store {path}, which {needed} names, is not there")
        return None
    held.callback(folder.close)
    status = folder.status(LAYERS)
    if status is None and folder.status("overlay-layers/layers.lock") is None:
        if needed or folder.status("overlay-layers"):
            named = f", which {needed} names," if needed else ""
            raise DeviceError(f"the store {path}{named} has no records; it may not be mounted yet")
        return None
    # A store without layers has no file, but its lock; one that a power cut left has an empty file.
    if status is not None and stat.S_ISREG(status.st_mode) and not status.st_size:
        raise DeviceError(f"{path / LAYERS} is empty")
    return ImageStore(folder, frozenset(recorded(folder, ALL_LAYERS)))
