"""Move records out of a storage, with their files, and back when their parents are back.

    import-image-aside/NUMBER/images.json, layers.json    records, as in the storage
    import-image-aside/NUMBER/overlay/ID/ …               files, as in the storage

The directory is not in `overlay`, where containers-storage removes files without a record
(layers.go, `GarbageCollect`). Each move has a number of its own, so that it replaces nothing that
was moved before. An id is in a number's records before its files are moved there, and in the
storage's records for as long as a file is on its way. `settle` can therefore end a move that was
cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence

from importer.device.folder import Folder
from importer.device.lowers import link_of
from importer.device.records import IMAGES, LAYERS, Recorded, dumped, recorded

ASIDE = "import-image-aside"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_FILES = {LAYERS: "layers.json", IMAGES: "images.json"}


@dataclass(frozen=True)
class Moved:
    """The records of one number, by id, in each of the storage's files of records."""

    place: str
    records: Dict[str, Dict[str, Recorded]]


def moved(storage: Folder) -> List[Moved]:
    """Return all that is aside, the last move first."""
    numbers = sorted(int(name) for name in storage.names(ASIDE) if _NUMBER.fullmatch(name))
    places = [f"{ASIDE}/{number}" for number in reversed(numbers)]
    return [
        Moved(place, {path: recorded(storage, [f"{place}/{_FILES[path]}"]) for path in _FILES})
        for place in places
    ]


def put_aside(storage: Folder, ids: Mapping[str, Iterable[str]]) -> None:
    """Move records and their files out of the storage; `ids` by the file of records."""
    number = max((int(here.place.rpartition("/")[2]) for here in moved(storage)), default=0) + 1
    place = f"{ASIDE}/{number}"
    for directory in ("overlay", "overlay-layers", "overlay-images"):
        storage.make(f"{place}/{directory}")
    kept = {}
    for path, name in _FILES.items():
        kept[path] = recorded(storage, [path])
        storage.write(f"{place}/{name}", dumped([kept[path].pop(going) for going in ids[path]]))
    for path in _FILES:
        for going in ids[path]:
            _unlink(storage, path, going)
            _move(storage, path, going, "", f"{place}/")
    storage.sync()  # the files' new places, before the records go that keep them
    for path in reversed(_FILES):
        storage.write(path, dumped(kept[path].values()))


def bring_back(storage: Folder, here: Moved, records: Mapping[str, Sequence[Recorded]]) -> None:
    """Move records of one number, and their files, into the storage."""
    for path in _FILES:
        present = recorded(storage, [path])
        storage.write(path, dumped([*present.values(), *records[path]]))
    _bring_files(storage, here, {path: [record.id for record in records[path]] for path in _FILES})


def settle(storage: Folder) -> None:
    """End each move that was cut off: return the files of ids that the storage has a record of."""
    present = {path: recorded(storage, [path]) for path in _FILES}
    for here in moved(storage):
        cut_off = {
            path: [
                twice
                for twice in records
                if twice in present[path] and not _is_double(storage, here, path, twice)
            ]
            for path, records in here.records.items()
        }
        if any(cut_off.values()):
            _bring_files(storage, here, cut_off)


def _is_double(storage: Folder, here: Moved, path: str, identity: str) -> bool:
    """Return whether the storage has files of an id that has files aside, too."""
    first = next(_parts(path, identity))
    return bool(storage.status(first) and storage.status(f"{here.place}/{first}"))


def _bring_files(storage: Folder, here: Moved, ids: Mapping[str, Sequence[str]]) -> None:
    for path in _FILES:
        for coming in ids[path]:
            _move(storage, path, coming, f"{here.place}/", "")
            _link(storage, path, coming)
    storage.sync()
    for path, name in _FILES.items():
        left = [record for record in here.records[path].values() if record.id not in ids[path]]
        storage.write(f"{here.place}/{name}", dumped(left))


def _parts(path: str, identity: str) -> Iterator[str]:
    """Yield the paths of an id's files; the first exists if any does."""
    if path == IMAGES:
        yield f"overlay-images/{identity}"
    else:
        yield f"overlay/{identity}"
        yield f"overlay-layers/{identity}.tar-split.gz"
        yield f"overlay-layers/{identity}"


def _move(storage: Folder, path: str, identity: str, source: str, target: str) -> None:
    for part in _parts(path, identity):
        if storage.status(source + part) and not storage.status(target + part):
            storage.move(source + part, target + part)


def _unlink(storage: Folder, path: str, identity: str) -> None:
    """Remove a layer's link: the driver repairs links, and gives up at one that leads nowhere."""
    link = link_of(storage, identity) if path == LAYERS else None
    if link and storage.target(f"overlay/l/{link}") == f"../{identity}/diff":
        storage.unlink(f"overlay/l/{link}")


def _link(storage: Folder, path: str, identity: str) -> None:
    link = link_of(storage, identity) if path == LAYERS else None
    if link and not storage.status(f"overlay/l/{link}"):
        storage.link(f"../{identity}/diff", f"overlay/l/{link}")
