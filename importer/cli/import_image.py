"""The command import-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from importer.cli.options.declare import Given, command
from importer.cli.options.images import Architecture, LayerRules, Platform, References
from importer.cli.options.labels import Labels, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.registry import Registry, Retries
from importer.cli.options.result import Commit, NewRepo, Shape, StoreContents, ToBranch
from importer.cli.options.system import System
from importer.cli.options.work import Work
from importer.cli.run_import import end_import
from importer.cli.targets import skopeo, target

if TYPE_CHECKING:
    from importer.import_images import Job
    from layers.oci.reference import ImageName


@command(
    "import-image",
    References,
    Architecture,
    Platform,
    LayerRules,
    NewRepo,
    ToBranch,
    Shape,
    StoreContents,
    Commit,
    System,
    Labels,
    Signing,
    Registry,
    Retries,
    Work,
    Messages,
    Document,
    Rehearsal,
    Unchanged,
)
def import_image(given: Given) -> None:
    """Import container images into an ostree repo.

    REF is registry/name@sha256:DIGEST or registry/name:TAG, or TRANSPORT:... as skopeo
    writes it. Each layer is committed to a branch of its own. The images are committed to a
    branch with a store that podman and CRI-O use as an additional image store.
    """
    from importer.import_images import import_images, plan_import

    end_import(given, lambda: _job(given), import_images, plan_import)


def _job(given: Given) -> Job:
    from importer.import_images import Job
    from layers.oci.reference import Reference, registries

    images, arch = given(References), given(Architecture).arch
    references = tuple(dict.fromkeys(Reference.parse(text) for text in images.references))
    return Job(
        references=references,
        name=_name(images),
        skopeo=skopeo(given, given(Retries).retry_times, registries(references), arch),
        **target(given),
    )


def _name(images: References) -> ImageName | None:
    from layers.oci.reference import ImageName

    if images.name is not None and len(images.references) > 1:
        raise click.UsageError("--name is only for a single image")
    return ImageName.parse(images.name) if images.name is not None else None
