"""The command import-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.named_images import NamedImages
from importer.cli.options.cluster import OnCluster
from importer.cli.options.declare import Given, command
from importer.cli.options.images import (
    ArchitectureOption,
    ImageArguments,
    LayerRules,
    Lists,
    Platform,
)
from importer.cli.options.labels import LabelOptions, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.registry import RegistryOptions, Retries
from importer.cli.options.result import CommitMessage, NewRepo, Shape, StoreContents, ToBranch
from importer.cli.options.system import System
from importer.cli.options.work import Downloads, Jobs, Spool
from importer.cli.run_import import end_import
from importer.cli.targets import executors, skopeo, target

if TYPE_CHECKING:
    from importer.run.job import ImportJob


@command(
    "import-image",
    ImageArguments,
    Lists,
    ArchitectureOption,
    Platform,
    LayerRules,
    NewRepo,
    ToBranch,
    Shape,
    StoreContents,
    CommitMessage,
    System,
    LabelOptions,
    Signing,
    RegistryOptions,
    Retries,
    Jobs,
    Downloads,
    Spool,
    OnCluster,
    Messages,
    Document,
    Rehearsal,
    Unchanged,
)
def import_image(given: Given) -> None:
    """Import container images into an ostree repo.

    REF is registry/name@sha256:DIGEST or registry/name:TAG, or TRANSPORT:... as skopeo
    writes it; NAME= before it is the image's name in the store. Each layer is committed to a
    branch of its own. The images are committed to a branch with a store that podman and CRI-O
    use as an additional image store.
    """
    images = NamedImages(given)
    end_import(given, lambda _: _job(given, images.read()), lambda made: images.pin(made.images))


def _job(given: Given, images: NamedImages) -> ImportJob:
    from importer.run.job import ImportJob
    from importer.sources.references import ReferenceSource
    from layers.oci.reference import registries

    references = tuple(images.names)
    wanted = registries(references)
    how = skopeo(given, given(Retries).retry_times, wanted, given(ArchitectureOption).arch)
    source = ReferenceSource(references, images.names, how)
    return ImportJob(target=target(given), source=source, executors=executors(given))
