"""Count a release's components while their layers are read."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Advance, Progress
    from layers.storage.image import Image

_OVER = ("done", "failed")


class ComponentProgress:
    """A `Progress` that passes everything on, and tells of components. Used by several threads."""

    def __init__(
        self, progress: Progress, images: Mapping[str, Image], missing: Iterable[MissingLayer]
    ) -> None:
        """`images` are the components; `missing` are the layers to be read."""
        self._progress = progress
        self._lock = threading.Lock()
        names = {one.layer.id: one.name for one in missing}
        # By a layer's name: the components that wait for it. By component: how many they are.
        self._waiting: dict[str, set[str]] = defaultdict(set)
        for component, image in images.items():
            for layer in image.layers:
                if layer.id in names:
                    self._waiting[names[layer.id]].add(component)
        self._left = Counter(one for waiting in self._waiting.values() for one in waiting)
        self._total = len(images)
        if names:
            self._tell()

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._progress.message(text)

    def blob(self, name: str, size: int) -> AbstractContextManager[Advance]:
        """See `Progress`."""
        return self._progress.blob(name, size)

    def layer(self, name: str, size: int, state: str) -> None:
        """See `Progress`. Tell of components whose last layer this is."""
        self._progress.layer(name, size, state)
        if state in _OVER:
            with self._lock:
                self._left.subtract(self._waiting.pop(name, set()))
                self._tell()

    def components(self, over: int, total: int) -> None:
        """See `Progress`."""
        self._progress.components(over, total)

    def _tell(self) -> None:
        unfinished = sum(count > 0 for count in self._left.values())
        self._progress.components(self._total - unfinished, self._total)
