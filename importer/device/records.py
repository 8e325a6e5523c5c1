"""The records of a storage and of the stores beside it: layers, images and containers.

Source: github.com/containers/storage, layers.go, images.go, containers.go. Ids are 64 hexadecimal
digits (pkg/stringid); they become names of files here, so nothing else is an id.
"""

from __future__ import annotations

import json
import re
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Set,
    Tuple,
)

from importer.device.configured import Configured
from importer.device.folder import DeviceError, Folder, opened

LAYERS = "overlay-layers/layers.json"
IMAGES = "overlay-images/images.json"
# Layers and containers that need not outlive a boot have records of their own.
ALL_LAYERS = (LAYERS, "overlay-layers/volatile-layers.json")
CONTAINERS = (
    "overlay-containers/containers.json",
    "overlay-containers/volatile-containers.json",
)
# Of 25,000 layers, say.
_MOST_BYTES = 16 << 20
_LONGEST_NUMBER = 20
_ID = re.compile(r"[0-9a-f]{64}")
_HINT = "see `podman system check`"


@dataclass(frozen=True)
class Recorded:
    """A layer, an image or a container. `below`: the parent of a layer, else the top layers."""

    id: str
    names: Tuple[str, ...]
    below: Tuple[str, ...]
    document: Dict[str, object]

    @property
    def label(self) -> str:
        """Return the beginning of an image's id, and its names."""
        names = f" ({', '.join(self.names)})" if self.names else ""
        return f"image {self.id[:12]}{names}"

    @property
    def top(self) -> str:
        """Return the first layer in `below`, "" if there is none."""
        return self.below[0] if self.below else ""


def recorded(folder: Folder, paths: Iterable[str]) -> Dict[str, Recorded]:
    """Read files of records, by id; an absent file has no records.

    Raise DeviceError for a file that has anything but records.
    """
    records: Dict[str, Recorded] = {}
    for path in paths:
        data = folder.read(path, _MOST_BYTES)
        try:
            for record in parse_records(data or b"null"):
                if record.id in records:
                    raise DeviceError(f"{record.id} is there twice")
                records[record.id] = record
        except DeviceError as error:
            raise DeviceError(f"{folder.path / path}: {error}; {_HINT}") from None
    return records


def parse_records(data: bytes) -> Iterator[Recorded]:
    """Yield the records of a file's content; Go writes an empty list as null.

    Raise DeviceError if the content is anything else.
    """
    try:
        documents = json.loads(data, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"it is not JSON: {error}") from None
    if not isinstance(documents, (list, type(None))):
        raise DeviceError("it is not a list of records")
    for document in documents or ():
        yield _record(document)


def dumped(records: Iterable[Recorded]) -> bytes:
    """Return the content of a file of records."""
    return json.dumps([record.document for record in records], separators=(",", ":")).encode()


def _record(document: object) -> Recorded:
    if not isinstance(document, dict):
        raise DeviceError("it is not a list of records")
    identity = document.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise DeviceError(f"{ascii(identity)[:80]} is no id")
    single = [document.get(key) for key in ("parent", "layer")]
    below = [*filter(None, single), *_texts(document, "mapped-layers")]
    for layer in below:
        if not isinstance(layer, str) or not _ID.fullmatch(layer):
            raise DeviceError(f"{ascii(layer)[:80]} is no layer's id")
    return Recorded(identity, _texts(document, "names"), tuple(below), document)


def _texts(document: Mapping[str, object], key: str) -> Tuple[str, ...]:
    value = document.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DeviceError(f"{key} is no list of texts")
    return tuple(value)


def _number(text: str) -> int:
    """Read a number; a very long one takes Python 3.9 for ever."""
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


@dataclass(frozen=True)
class Chains:
    """The storage's own layers, and the ids of those that read-only stores have."""

    own: Mapping[str, Recorded]
    elsewhere: AbstractSet[str]

    def chain(self, layer: str) -> Iterator[str]:
        """Yield a layer and its parents, as far as the storage has them itself."""
        seen: Set[str] = set()
        while layer in self.own and layer not in seen:
            seen.add(layer)
            yield layer
            layer = self.own[layer].top

    def missing(self, layers: Iterable[str]) -> Optional[str]:
        """Return a layer that no store has, of these and their parents; None if all are there."""
        for layer in layers:
            last = layer
            for own in self.chain(layer):
                last = self.own[own].top
            if last and last not in self.own and last not in self.elsewhere:
                return last
        return None


@dataclass(frozen=True)
class DeviceStores:
    """All read-only stores that can be read, and the ids of their layers.

    `doubts` has a line for each store that may have other layers.
    """

    folders: Tuple[Folder, ...]
    layers: FrozenSet[str]
    doubts: Tuple[str, ...]


def opened_stores(
    configured: Configured, held: ExitStack, system: Path = Path("/")
) -> DeviceStores:
    """Open the stores until `held` ends; their paths are below `system`.

    A named store is in doubt if it is absent or has no records, as a directory that nothing is
    mounted on yet. Each store is in doubt if its records are empty or cannot be read.
    """
    folders: List[Folder] = []
    layers: Set[str] = set()
    doubts = list(configured.doubts)
    for path in dict.fromkeys((*configured.usual, *configured.named)):
        try:
            folder = _opened(system / path.lstrip("/"), held, configured.named.get(path))
            if folder is not None:
                layers.update(recorded(folder, ALL_LAYERS))
                folders.append(folder)
        except DeviceError as error:
            doubts.append(str(error))
    return DeviceStores(tuple(folders), frozenset(layers), tuple(doubts))


def _opened(path: Path, held: ExitStack, needed_by: Optional[str]) -> Optional[Folder]:
    folder = opened(path, held)
    if folder is None:
        if needed_by:
            raise DeviceError(f"the store {path}, which {needed_by} names, is not there")
        return None
    status = folder.status(LAYERS)
    if status is None and folder.status("overlay-layers/layers.lock") is None:
        if needed_by or folder.status("overlay-layers"):
            named = f", which {needed_by} names," if needed_by else ""
            raise DeviceError(f"the store {path}{named} has no records; it may not be mounted yet")
        return None
    # A store without layers has no file, but its lock; one that a power cut left has an empty file.
    if status is not None and stat.S_ISREG(status.st_mode) and not status.st_size:
        raise DeviceError(f"{path / LAYERS} is empty")
    return folder
