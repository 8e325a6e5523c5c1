"""Find images of a store whose deleted files are there again.

Whiteouts do not show through a second overlay on /usr, such as systemd-sysext or an unlocked
deployment mounts; nor are they made where a commit is only mounted. Nothing reports an error then.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from importer.device.deletions import deletions
from importer.device.folder import Folder
from importer.device.lowers import BY_ID, BY_LINK, lower_tree, names_below
from importer.device.records import IMAGES, LAYERS, Chains, Recorded, recorded

_MOST_NAMES = 1000
_RECORD = "overlay-layers/{}.tar-split.gz"
_PIECE = 1 << 16


@dataclass(frozen=True)
class Returned:
    """An image with a path that a layer of it deletes, and that its containers see."""

    image: Recorded
    path: str


def returned_files(store: Folder) -> Iterator[Returned]:
    """Yield the images of a store with a deleted file that is there again, a path for each.

    A single deletion that holds shows that all do: what hides whiteouts hides the whole store's.
    """
    layers = Chains(recorded(store, [LAYERS]), frozenset())
    deleted: Dict[str, List[str]] = {}
    for image in recorded(store, [IMAGES]).values():
        top = "".join(image.below[:1])
        stack = _Stack(store, top)
        for layer in layers.chain(top):
            if layer not in deleted:
                deleted[layer] = list(islice(_deleted(store, layer), _MOST_NAMES))
            holds, path = stack.judged(layer, deleted[layer])
            if holds:
                return
            if path is not None:
                yield Returned(image, path)
                break


class _Stack:
    """The trees that are mounted for an image, the nearest first."""

    def __init__(self, store: Folder, top: str) -> None:
        self._store = store
        names = (names_below(store, f"overlay/{top}", file) for file in (BY_LINK, BY_ID))
        below = next((one for one in names if one is not None), [])
        trees = [lower_tree(one, [store]) for one in below]
        self._trees = [f"overlay/{top}/diff", *(one[1] for one in trees if one)]

    def judged(self, layer: str, deleted: Iterable[str]) -> Tuple[bool, Optional[str]]:
        """Return whether a deletion of a layer holds, and else a path that is there again."""
        own = f"overlay/{layer}/diff"
        if own not in self._trees:
            return False, None
        above = self._trees.index(own)
        below = self._trees[above + 1 :]
        for path in self._paths(deleted, below):
            if not any(self._store.status(f"{tree}/{path}") for tree in below):
                continue
            seen = self._seen(path)
            if seen is None:
                return True, None
            if seen > above:
                return False, path
        return False, None

    def _paths(self, deleted: Iterable[str], below: Sequence[str]) -> Iterator[str]:
        """Yield the paths; for an opaque directory those of all that the trees have in it."""
        for path in deleted:
            inside = path.rstrip("/")
            if not path.endswith("/"):
                yield path
            for tree in below if path.endswith("/") else ():
                status = self._store.status(f"{tree}/{inside}" if inside else tree)
                if status and stat.S_ISDIR(status.st_mode):
                    names = self._store.names(f"{tree}/{inside}" if inside else tree)
                    yield from (f"{inside}/{one}".lstrip("/") for one in names[:_MOST_NAMES])

    def _seen(self, path: str) -> Optional[int]:
        """Look a path up as overlayfs does; return the number of the tree that it is in.

        The nearest entry that is no directory ends a merge.
        """
        *directories, name = path.split("/")
        merged = list(enumerate(self._trees))
        for one in directories:
            inner = []
            for number, tree in merged:
                status = self._store.status(f"{tree}/{one}")
                if status and not stat.S_ISDIR(status.st_mode):
                    break
                inner += [(number, f"{tree}/{one}")] if status else []
            merged = inner
        for number, tree in merged:
            status = self._store.status(f"{tree}/{name}")
            if status:
                is_whiteout = stat.S_ISCHR(status.st_mode) and not status.st_rdev
                return None if is_whiteout else number
        return None


def _deleted(store: Folder, layer: str) -> Iterator[str]:
    with suppress(FileNotFoundError), store.file(_RECORD.format(layer)) as descriptor:
        yield from deletions(lambda: os.read(descriptor, _PIECE))
