"""Report the device nodes and xattrs that are left out of layers' trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.repo.commit_keys import DROPPED_XATTRS

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
        """Return the counts in the layer's commit."""
        xattrs = int(layer.commit.metadata.get(DROPPED_XATTRS, 0))
        return cls(layer.devices + layer.stray_devices, xattrs)


def tell_left_out(
    layers: Mapping[str, LayerCommit], fetched: Collection[str], progress: Progress
) -> None:
    """Report in one line what is left out of the fetched layers. `fetched` has their ids."""
    new = [LeftOut.of(layers[one]) for one in layers if one in fetched]
    some = sum(one != LeftOut(0, 0) for one in new)
    if not some:
        return
    counts = (
        (sum(one.device_nodes for one in new), "device node"),
        (sum(one.dropped_xattrs for one in new), "extended attribute"),
    )
    parts = [counted(count, what) for count, what in counts if count]
    progress.message(f"left out of {counted(some, 'layer')}: {', '.join(parts)}")


def counted(count: int, what: str) -> str:
    """Return a number of things, such as `1 layer` or `2,000 layers`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
