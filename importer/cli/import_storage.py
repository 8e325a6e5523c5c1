"""The command import-storage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cli.options.cluster import OnCluster
from importer.cli.options.declare import Given, command
from importer.cli.options.images import GraphrootOption, LayerRules
from importer.cli.options.labels import LabelOptions, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.result import CommitMessage, NewRepo, Shape, StoreContents, ToBranch
from importer.cli.options.system import System
from importer.cli.options.work import Jobs
from importer.cli.run_import import end_import
from importer.cli.targets import executors, target

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.run.job import ImportJob


@command(
    "import-storage",
    GraphrootOption,
    LayerRules,
    NewRepo,
    ToBranch,
    Shape,
    StoreContents,
    CommitMessage,
    System,
    LabelOptions,
    Signing,
    Jobs,
    OnCluster,
    Messages,
    Document,
    Rehearsal,
    Unchanged,
)
def import_storage(given: Given) -> None:
    """Import the images of an existing store into an ostree repo.

    GRAPHROOT is the directory of a containers-storage store (driver overlay), such as
    /var/lib/containers/storage, or of Docker's (overlay2), such as /var/lib/docker. The
    store is only read. NAME is an image's name, digest or id, as podman takes it; without one,
    all complete images are imported. The layers go to the same branches as import-image's.
    """
    end_import(given, lambda progress: _job(given, progress))


def _job(given: Given, progress: Progress) -> ImportJob:
    from importer.run.job import ImportJob
    from importer.sources.store import GraphrootSource

    images = given(GraphrootOption)
    source = GraphrootSource.read(images.graphroot, images.names, progress)
    source = replace(source, verified_only=images.verified_only)
    return ImportJob(target=target(given), source=source, executors=executors(given))
