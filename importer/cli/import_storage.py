"""The command import-storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.options.cluster import OnCluster
from importer.cli.options.declare import Given, command
from importer.cli.options.images import Graphroot, LayerRules
from importer.cli.options.labels import Labels, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.result import Commit, NewRepo, Shape, StoreContents, ToBranch
from importer.cli.options.system import System
from importer.cli.options.work import Downloads, Jobs, Spool
from importer.cli.run_import import end_import
from importer.cli.targets import target

if TYPE_CHECKING:
    from importer.graphroot.import_storage import StorageJob


@command(
    "import-storage",
    Graphroot,
    LayerRules,
    NewRepo,
    ToBranch,
    Shape,
    StoreContents,
    Commit,
    System,
    Labels,
    Signing,
    Jobs,
    Downloads,
    Spool,
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
    from importer.graphroot.import_storage import import_storage as import_store
    from importer.graphroot.import_storage import plan_storage

    end_import(given, lambda: _job(given), import_store, plan_storage)


def _job(given: Given) -> StorageJob:
    from importer.graphroot.import_storage import StorageJob

    images = given(Graphroot)
    return StorageJob(
        target=target(given),
        graphroot=images.graphroot,
        names=images.names,
        verified_only=images.verified_only,
    )
