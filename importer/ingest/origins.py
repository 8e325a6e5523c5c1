"""Try a layer's origins one after the other, within the limits of the call."""

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
    """Stores a layer from its first origin that works. Images of several repositories may share a
    layer, and one of the repositories may be broken."""

    def __init__(self, options: LayerOptions, allowance: Allowance, progress: Progress) -> None:
        self._options = options
        self._allowance = allowance
        self._progress = progress

    def try_each(self, missing: MissingLayer, store: Store, found: Found) -> int:
        """Call `store` with one origin after the other until one works, and return its result.

        `store` calls `found` when the layer is read; after that no other origin is tried. If none
        works, raise the error of the last one.
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
        """Store the layer from this origin, with limits cut to what the call may still read."""
        options = self._allowance.left(self._options)
        try:
            return store(origin, options, found)
        except LayerError as error:
            raise self._allowance.explained(error, self._options, options) from None
