"""How much an import does at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

# Small layers whose trees may be in memory: at most so many share the syncs of the disk, and are
# looked at to choose the next one.
SMALL_LAYERS = 64


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is done at once.

    `downloads`: blobs that are fetched; 6 is podman's and skopeo's own default; 0 if this process
    fetches none, since the workers of a cluster do. `jobs`: layers that are read, each by a
    process of its own. `spool`: bytes of blobs that are fetched before a job is free for them.
    `beside`: layers that are on their way to the disk or to their branches beside those that are
    being read; with fewer, a job would wait for the disk. `small`: bytes of blobs; while layers
    have less together, `beside` does not bound them, but `SMALL_LAYERS` does: their trees are
    small, and many are closed by the same syncs of the disk. `questions`: manifests and configs
    that are asked for; nearly all time is waiting, but each takes a skopeo with 7 MB of its own,
    beside 23 MB that all of them share.
    """

    downloads: int = 6
    jobs: int = field(default_factory=processors)
    spool: int = 1 << 30
    beside: int = 3
    small: int = 4 << 20
    questions: int = 16

    @property
    def closed_together(self) -> int:
        """Return how many layers may have their trees in memory, if they are small."""
        return max(self.unclosed, SMALL_LAYERS)

    @property
    def unclosed(self) -> int:
        """Return how many layers may have their trees in memory, if they are not small: from the
        beginning of reading to the branch."""
        return self.jobs + self.beside
