"""The records of a containers-storage directory: its layers, images and containers.

Source: github.com/containers/storage, layers.go, images.go, containers.go. Ids are 64 hexadecimal
digits (pkg/stringid); they become names of files here, so nothing else is an id.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import AbstractSet, Dict, Iterable, Iterator, Mapping, Optional, Set, Tuple

from importer.device.folder import DeviceError, Folder

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
    """A layer, an image or a container. `below`: a layer's parent, or the others' layers."""

    id: str
    names: Tuple[str, ...]
    below: Tuple[str, ...]
    document: Dict[str, object]


def recorded(folder: Folder, paths: Iterable[str]) -> Dict[str, Recorded]:
    """Read files of records, by id. A file that is absent has none.

    Raise DeviceError for a file that has anything but records.
    """
    found: Dict[str, Recorded] = {}
    for path in paths:
        data = folder.read(path, _MOST_BYTES)
        try:
            for one in parse_records(data or b"null"):
                if one.id in found:
                    raise DeviceError(f"{one.id} is there twice")
                found[one.id] = one
        except DeviceError as error:
            raise DeviceError(f"{folder.path / path}: {error}; {_HINT}") from None
    return found


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
    for one in documents or ():
        yield _record(one)


def dumped(records: Iterable[Recorded]) -> bytes:
    """Return a file's content."""
    return json.dumps([one.document for one in records], separators=(",", ":")).encode()


def _record(document: object) -> Recorded:
    if not isinstance(document, dict):
        raise DeviceError("it is not a list of records")
    identity = document.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise DeviceError(f"{ascii(identity)[:80]} is no id")
    one = [document.get(key) or "" for key in ("parent", "layer")]
    below = [*filter(None, one), *_texts(document, "mapped-layers")]
    for layer in below:
        if not isinstance(layer, str) or not _ID.fullmatch(layer):
            raise DeviceError(f"{ascii(layer)[:80]} is no layer's id")
    return Recorded(identity, _texts(document, "names"), tuple(below), document)


def _texts(document: Mapping[str, object], key: str) -> Tuple[str, ...]:
    value = document.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
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
            layer = "".join(self.own[layer].below[:1])

    def missing(self, layers: Iterable[str]) -> Optional[str]:
        """Return the first layer that is in no store, below any of these; None if all are whole."""
        for layer in layers:
            last = layer
            for one in self.chain(layer):
                last = "".join(self.own[one].below[:1])
            if last and last not in self.own and last not in self.elsewhere:
                return last
        return None
