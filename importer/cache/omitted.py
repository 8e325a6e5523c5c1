"""Report the device nodes and xattrs that are left out of layers' trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.repo.commit_keys import DROPPED_XATTRS
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from importer.cache.layer import LayerCommit
    from importer.progress import Progress


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many device nodes and how many xattrs of a layer were left out."""

    device_nodes: int  # number of device nodes that were left out
    dropped_xattrs: int  # number of xattrs that were left out

    @classmethod
    def of(cls, layer: LayerCommit) -> LeftOut:
        xattrs = int(layer.commit.metadata.get(DROPPED_XATTRS, 0))
        return cls(layer.devices + layer.stray_devices, xattrs)


def tell_left_out(
    layers: Mapping[str, LayerCommit], fetched: Collection[str], progress: Progress
) -> None:
    """Report in one line what is left out of the fetched layers. `fetched` has their ids."""
    new = [LeftOut.of(layer) for layer_id, layer in layers.items() if layer_id in fetched]
    affected = sum(left_out != LeftOut(0, 0) for left_out in new)
    if not affected:
        return
    counts = (
        (sum(left_out.device_nodes for left_out in new), "device node"),
        (sum(left_out.dropped_xattrs for left_out in new), "extended attribute"),
    )
    parts = [several(count, noun) for count, noun in counts if count]
    progress.message(f"left out of {several(affected, 'layer')}: {', '.join(parts)}")
