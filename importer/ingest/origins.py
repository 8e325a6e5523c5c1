"""Try a layer's origins, one after the other, within what the call may still read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import Fault, LayerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.ingest.allowance import Allowance
    from importer.ingest.missing_layer import MissingLayer, Origin
    from importer.progress import Progress
    from layers.tree.read_layer import LayerOptions, ReadLayer

    type Found = Callable[[ReadLayer], None]
    type Store = Callable[[Origin, LayerOptions, Found], int]


class Origins:
    """Every origin of a layer is tried: images may share a layer, and the repository of one be
    broken."""

    def __init__(self, options: LayerOptions, allowance: Allowance, progress: Progress) -> None:
        self._options = options
        self._allowance = allowance
        self._progress = progress

    def try_each(self, missing: MissingLayer, store: Store, found: Found) -> int:
        """Return what `store` does for the first origin with which it succeeds.

        `store` calls `found` once the layer is read; after that no other origin is tried. Raise
        the last origin's error.
        """
        handed: list[ReadLayer] = []

        def hand_over(layer: ReadLayer) -> None:
            self._allowance.take(layer.size, layer.entries)
            handed.append(layer)
            found(layer)

        for origin in missing.origins[:-1]:
            try:
                return self._limited(origin, store, hand_over)
            except Fault as fault:
                if handed:
                    raise
                self._progress.message(f"{fault}; another repository has it, too")
        return self._limited(missing.origins[-1], store, hand_over)

    def _limited(self, origin: Origin, store: Store, found: Found) -> int:
        """Store the layer from this origin, as long as the call may have one more."""
        options = self._allowance.left(self._options)
        try:
            return store(origin, options, found)
        except LayerError as error:
            raise self._allowance.explained(error, self._options, options) from None
