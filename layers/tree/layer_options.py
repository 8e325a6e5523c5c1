"""Rules for what a layer may hold."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from layers.limits import Limits


class DeviceNodes(Enum):
    """How to treat device nodes and fifos, which ostree cannot hold."""

    AUTO = "auto"
    SKIP = "skip"
    ERROR = "error"

    def check(self, what: str, *, in_dev: bool) -> None:
        """Raise LayerError for `what`, such as `a fifo`, unless it may be left out. `in_dev` says
        that it is below /dev."""
        if self is DeviceNodes.ERROR or (self is DeviceNodes.AUTO and not in_dev):
            raise LayerError(
                f"ostree cannot hold {what}", hint="--device-nodes=skip leaves such entries out"
            )


@frozen
class LayerOptions:
    """Rules for a layer's content: device nodes, and limits in bytes and entries."""

    device_nodes: DeviceNodes
    limits: Limits
