"""Records that are moved out of a storage, with their files, and back when their parents are back.

    import-image-aside/NUMBER/images.json, layers.json    records, as in the storage
    import-image-aside/NUMBER/overlay/ID/ …               files, as in the storage

The directory is not in `overlay`, where containers-storage removes what has no record (layers.go,
`GarbageCollect`). Each move has a number of its own, so that nothing replaces what was moved
before. An id is in a number's records before its files are moved there, and in the storage's
records for as long as a file is on its way. `settle` can therefore end a move that was cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List

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
    """Return all that is aside, the last moved first."""
    numbers = sorted(int(one) for one in storage.names(ASIDE) if _NUMBER.fullmatch(one))
    return [_read(storage, f"{ASIDE}/{number}") for number in reversed(numbers)]


def _read(storage: Folder, place: str) -> Moved:
    return Moved(
        place, {path: recorded(storage, [f"{place}/{name}"]) for path, name in _FILES.items()}
    )


def put_aside(storage: Folder, ids: Dict[str, Iterable[str]]) -> None:
    """Move records and their files out of the storage; `ids` by the file of records."""
    number = max((int(one.place.rpartition("/")[2]) for one in moved(storage)), default=0) + 1
    place = f"{ASIDE}/{number}"
    for directory in ("overlay", "overlay-layers", "overlay-images"):
        storage.make(f"{place}/{directory}")
    kept = {}
    for path, name in _FILES.items():
        records = recorded(storage, [path])
        going = [records.pop(one) for one in ids[path]]
        kept[path] = records
        storage.write(f"{place}/{name}", dumped(going))
    for path in _FILES:
        for one in ids[path]:
            _unlink(storage, path, one)
            _move(storage, path, one, "", f"{place}/")
    storage.sync()  # the files' new places, before the records go that keep them
    for path in reversed(_FILES):
        storage.write(path, dumped(kept[path].values()))


def bring_back(storage: Folder, here: Moved, records: Dict[str, List[Recorded]]) -> None:
    """Move records of one number, and their files, into the storage."""
    for path in _FILES:
        present = recorded(storage, [path])
        storage.write(path, dumped([*present.values(), *records[path]]))
    _bring_files(storage, here, {path: [one.id for one in records[path]] for path in _FILES})


def settle(storage: Folder) -> None:
    """End each move that was cut off: what the storage has a record of gets its files back."""
    present = {path: recorded(storage, [path]) for path in _FILES}
    for here in moved(storage):
        cut_off: Dict[str, List[str]] = {}
        for path, records in here.records.items():
            both = (one for one in records if one in present[path])
            cut_off[path] = [one for one in both if not _is_double(storage, here, path, one)]
        if any(cut_off.values()):
            _bring_files(storage, here, cut_off)


def _is_double(storage: Folder, here: Moved, path: str, one: str) -> bool:
    """Return whether the storage has an id anew, beside the one that was moved away."""
    first = next(_parts(path, one))
    return bool(storage.status(first) and storage.status(f"{here.place}/{first}"))


def _bring_files(storage: Folder, here: Moved, ids: Dict[str, List[str]]) -> None:
    for path in _FILES:
        for one in ids[path]:
            _move(storage, path, one, f"{here.place}/", "")
            _link(storage, path, one)
    storage.sync()
    for path, name in _FILES.items():
        left = [one for one in here.records[path].values() if one.id not in ids[path]]
        storage.write(f"{here.place}/{name}", dumped(left))


def _parts(path: str, one: str) -> Iterator[str]:
    """Yield where the files of an id are; the first is there if the id is."""
    if path == IMAGES:
        yield f"overlay-images/{one}"
    else:
        yield f"overlay/{one}"
        yield f"overlay-layers/{one}.tar-split.gz"
        yield f"overlay-layers/{one}"


def _move(storage: Folder, path: str, one: str, source: str, target: str) -> None:
    for part in _parts(path, one):
        if storage.status(source + part) and not storage.status(target + part):
            storage.move(source + part, target + part)


def _unlink(storage: Folder, path: str, one: str) -> None:
    """Remove a layer's link: the driver repairs links, and gives up at one that leads nowhere."""
    link = link_of(storage, f"overlay/{one}") if path == LAYERS else None
    if link and storage.target(f"overlay/l/{link}") == f"../{one}/diff":
        storage.unlink(f"overlay/l/{link}")


def _link(storage: Folder, path: str, one: str) -> None:
    link = link_of(storage, f"overlay/{one}") if path == LAYERS else None
    if link and not storage.status(f"overlay/l/{link}"):
        storage.link(f"../{one}/diff", f"overlay/l/{link}")
