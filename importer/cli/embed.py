"""The subcommand `image-store embed`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cli.finish import UNCHANGED
from importer.cli.messages import progress_for
from importer.cli.options.declare import Given, subcommand
from importer.cli.options.embed import BaseAndDestination, NewImage
from importer.cli.options.images import ArchitectureOption, Platform
from importer.cli.options.output import Document, Messages, Unchanged
from importer.cli.options.registry import Access, Retries
from importer.cli.options.stores import OneBranch, StoreArguments
from importer.cli.options.work import Downloads, Jobs
from importer.cli.run_query import end_shown
from importer.cli.targets import skopeo_of

if TYPE_CHECKING:
    from importer.embed.embed import EmbedJob
    from importer.render.table import Shown


@subcommand(
    "embed",
    OneBranch,
    BaseAndDestination,
    ArchitectureOption,
    Platform,
    StoreArguments,
    NewImage,
    Access,
    Retries,
    Jobs,
    Downloads,
    Messages,
    Document,
    Unchanged,
)
def embed(given: Given) -> None:
    """Put a store into a bootable container image.

    The new image is the base image, unchanged, with layers on top that hold the store's
    layers, and a last one with its records. A layer of the store makes the same bytes every
    time, so that a registry and a device fetch only what has changed. The store may have no
    whiteouts. Prints the new manifest's digest.
    """

    def work() -> Shown:
        if given(NewImage).dry_run:
            from importer.embed.dry_run import plan_embed

            return plan_embed(_job(given), progress_for(given(Messages)))
        from importer.embed.embed import embed as embed_store

        made = embed_store(_job(given), progress_for(given(Messages)))
        unchanged = made.published.unchanged and given(Unchanged).unchanged_exit_77
        return replace(made, status=UNCHANGED if unchanged else 0)

    end_shown(given, work)


def _job(given: Given) -> EmbedJob:
    from importer.embed.embed import EmbedJob
    from layers.oci.reference import Reference, registries

    images, new = given(BaseAndDestination), given(NewImage)
    base, to = Reference.parse(images.base), Reference.parse(images.to)
    arch, retries = given(ArchitectureOption).arch, given(Retries).retry_times
    return EmbedJob(
        repo=given(StoreArguments).repo,
        branch=given(OneBranch).branch,
        prefix=given(StoreArguments).prefix,
        base=base,
        to=to,
        skopeo=skopeo_of(given, given(Access), retries, registries([base, to]), arch),
        jobs=given(Jobs).count,
        downloads=given(Downloads).max_parallel_downloads,
        labels=dict(new.labels),
        bound=new.bound,
        equivalence=new.selinux_equivalence,
        compression=new.compression,
        max_layers=new.max_layers,
        small=new.pack,
    )
