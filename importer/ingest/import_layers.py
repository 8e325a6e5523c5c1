"""Import layers into the repo, each to its branches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from importer.cache.batch import layer_groups
from importer.cache.left_out import tell_time_readers
from importer.ingest.layer_pool import LayerPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.ingest.budget import Budget
    from importer.ingest.executor import Executor
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.errors import Fault

_log = logging.getLogger(__name__)


def import_layers(
    repo: Repo,
    missing: Sequence[MissingLayer],
    executor: Executor,
    budget: Budget,
    progress: Progress,
    *,
    keep_going: bool,
) -> tuple[dict[str, Fault], int]:
    """Read the layers and set their branches; parents come before children in `missing`.

    The caller keeps the repo locked until a commit needs the branches. Return the faults by layer
    id, and the bytes added to the repo. Unless `keep_going`, raise the first fault instead.
    """
    counts = len(missing), budget.downloads, budget.jobs, budget.spool
    _log.debug("%s layers to read: %s downloads and %s jobs at once, %s bytes of spool", *counts)
    pool = LayerPool(executor, layer_groups(repo), budget, repo.path / "tmp", progress)
    faults = pool.run(missing, keep_going=keep_going)
    images = {
        new.layer.id: [origin.source for origin in new.origins]
        for new in missing
        if new.layer.id not in faults
    }
    tell_time_readers(repo, images, progress)
    return faults, pool.written_bytes
