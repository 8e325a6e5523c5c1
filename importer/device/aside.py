"""Move records out of a storage, with their files, and back when their parents are back.

    import-image-aside/NUMBER/images.json, layers.json    records, as in the storage
    import-image-aside/NUMBER/overlay/ID/ …               files, as in the storage

The directory is not in `overlay`, where containers-storage removes files without a record
(layers.go, `GarbageCollect`). Each move has a number of its own, so that it replaces nothing that
was moved before. An id is in the records of both places for as long as a file is on its way.
`settle` can therefore end a move that was cut off.
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
# The files of records, and their names under a number.
_FILES = {LAYERS: "layers.json", IMAGES: "images.json"}


@dataclass(frozen=True)
class Place:
    """The storage itself, whose `prefix` is "", or the directory of a number.

    `records` are by the storage's files of records, and by id.
    """

    prefix: str
    records: Dict[str, Dict[str, Recorded]]


def moved(storage: Folder) -> List[Place]:
    """Return all that is aside, the last move first."""
    numbers = sorted(int(name) for name in storage.names(ASIDE) if _NUMBER.fullmatch(name))
    return [_read(storage, f"{ASIDE}/{number}/") for number in reversed(numbers)]


def _read(storage: Folder, prefix: str = "") -> Place:
    return Place(prefix, {path: recorded(storage, [_file(prefix, path)]) for path in _FILES})


def _file(prefix: str, path: str) -> str:
    return f"{prefix}{_FILES[path]}" if prefix else path


def put_aside(storage: Folder, ids: Mapping[str, Iterable[str]]) -> None:
    """Move records and their files out of the storage; `ids` by the file of records."""
    last = max((int(place.prefix.split("/")[1]) for place in moved(storage)), default=0)
    there = Place(f"{ASIDE}/{last + 1}/", {path: {} for path in _FILES})
    for directory in ("overlay", "overlay-layers", "overlay-images"):
        storage.make(f"{there.prefix}{directory}")
    here = _read(storage)
    records = {path: [here.records[path][going] for going in ids[path]] for path in _FILES}
    _move(storage, here, there, records)


def bring_back(storage: Folder, there: Place, records: Mapping[str, Sequence[Recorded]]) -> None:
    """Move records of one number, and their files, into the storage."""
    _move(storage, there, _read(storage), records)


def settle(storage: Folder) -> None:
    """End each move that was cut off: return the files of ids that the storage has a record of."""
    here = _read(storage)
    for there in moved(storage):
        ids: Dict[str, List[str]] = {}
        for path, records in there.records.items():
            both = records.keys() & here.records[path].keys()
            ids[path] = [twice for twice in both if not _is_double(storage, there, path, twice)]
        if any(ids.values()):
            _move_files(storage, there, here, ids)


def _is_double(storage: Folder, there: Place, path: str, identity: str) -> bool:
    """Return whether the storage has files of an id that has files aside, too."""
    first = next(_parts(path, identity))
    return bool(storage.status(first) and storage.status(there.prefix + first))


def _move(
    storage: Folder, source: Place, target: Place, records: Mapping[str, Sequence[Recorded]]
) -> None:
    for path in _FILES:
        present = target.records[path].values()
        storage.write(_file(target.prefix, path), dumped([*present, *records[path]]))
    ids = {path: [record.id for record in records[path]] for path in _FILES}
    _move_files(storage, source, target, ids)


def _move_files(
    storage: Folder, source: Place, target: Place, ids: Mapping[str, Sequence[str]]
) -> None:
    """Move the files of ids that are in the target's records, and end with the source's records."""
    for path in _FILES:
        for identity in ids[path]:
            if path == LAYERS and not source.prefix:
                _unlink(storage, identity)
            for part in _parts(path, identity):
                old, new = source.prefix + part, target.prefix + part
                if storage.status(old) and not storage.status(new):
                    storage.move(old, new)
            if path == LAYERS and not target.prefix:
                _link(storage, identity)
    storage.sync()  # the files' new places, before the records go that keep the files
    for path in reversed(_FILES):
        left = [record for record in source.records[path].values() if record.id not in ids[path]]
        storage.write(_file(source.prefix, path), dumped(left))


def _parts(path: str, identity: str) -> Iterator[str]:
    """Yield the paths of an id's files; the first exists if any does."""
    if path == IMAGES:
        yield f"overlay-images/{identity}"
    else:
        yield f"overlay/{identity}"
        yield f"overlay-layers/{identity}.tar-split.gz"
        yield f"overlay-layers/{identity}"


def _unlink(storage: Folder, layer: str) -> None:
    """Remove a layer's link: the driver repairs links, and gives up at one that leads nowhere."""
    link = link_of(storage, layer)
    if link and storage.target(f"overlay/l/{link}") == f"../{layer}/diff":
        storage.unlink(f"overlay/l/{link}")


def _link(storage: Folder, layer: str) -> None:
    link = link_of(storage, layer)
    if link and not storage.status(f"overlay/l/{link}"):
        storage.link(f"../{layer}/diff", f"overlay/l/{link}")
