"""Rules for what a layer may hold, and the limits beyond which it is refused."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from layers.entry import Entry

# The most bytes of paths, link targets and xattrs for each entry, on average.
_TEXT = 256
# The most bytes of lines of a tar-split record for each entry: eight times the usual number.
_RECORD = 8 << 10

TOO_LARGE = "if that is what you expect, raise max-layer-size in the config file"
TOO_MANY = "if that is what you expect, raise max-layer-entries in the config file"


@frozen
class Limits:
    """Protect from a small blob that unpacks to more than a disk or the memory holds.

    `size` bounds the bytes of the uncompressed tar, and the bytes of its sparse files' holes: far
    above any real layer, but few disks would be full. `entries` bounds the entries in memory until
    the layer is complete; tests/layers/test_bounds.py reports the bytes that an entry takes.
    """

    size: int = 64 << 30
    entries: int = 2_000_000

    @property
    def text(self) -> int:
        """Return the bound on paths, link targets and xattrs of all entries together, in bytes."""
        return self.entries * _TEXT

    @property
    def record(self) -> int:
        """Return the bound on the lines of the layer's tar-split record, in bytes, unpacked."""
        return self.entries * _RECORD


# Of all layers that one call reads; docs/security.md has the memory that their entries take.
CALL_LIMITS = Limits(256 << 30, 5_000_000)


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


class Bound:
    """Count the entries of a layer in memory, and the bytes of their texts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries = limits.entries
        self._text = limits.text

    @property
    def entries(self) -> int:
        return self._limits.entries - self._entries

    def count(self, entry: Entry) -> None:
        """Add an entry. Raise LayerError if there are more than the limits allow."""
        self._entries -= 1
        self._text -= len(entry.path) + len(entry.link)
        if entry.owner.xattrs:
            self._text -= sum(len(name) + len(value) for name, value in entry.owner.xattrs)
        if self._entries < 0:
            raise LayerError(
                f"the layer has more than {self._limits.entries} entries", hint=TOO_MANY
            )
        if self._text < 0:
            raise LayerError(
                f"the layer's paths and xattrs are larger than {self._limits.text} bytes",
                hint=TOO_MANY,
            )
