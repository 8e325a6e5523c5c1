"""The subcommands of image-store that change the repo, or write an image out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.finish import UNCHANGED, end_shown, query
from importer.cli.messages import progress_for
from importer.cli.options.given import Given, subcommand
from importer.cli.options.images import ArchitectureOption, Platform
from importer.cli.options.output import Output, Rehearsal, Unchanged
from importer.cli.options.registry import Access
from importer.cli.options.stores import (
    BaseAndDestination,
    ExportOptions,
    Images,
    InBranch,
    NewImage,
    OneBranch,
    PruneOptions,
    StoreArguments,
)
from importer.cli.options.system import InSystem, Signing
from importer.cli.options.work import Downloads, Jobs
from importer.cli.targets import skopeo

if TYPE_CHECKING:
    from importer.embed.embed import EmbedJob
    from importer.render.table import Shown
    from importer.repo.writer import Repo


@query("remove", Images, InBranch, StoreArguments, Signing, Output)
def remove(given: Given, repo: Repo) -> Shown:
    """Commit branches again without these images or artifacts.

    The new commit is the one that an import of the remaining images alone would make. A branch
    that import-image made for a single image is deleted with its last image. No space is freed
    yet: see prune.
    """
    from importer.imagestore.remove import own_stores, remove_images

    branches, prefix = given(InBranch).branches, given(StoreArguments).prefix
    stores = own_stores(repo, branches, prefix)
    keys, named = given(Signing).keys, bool(branches)
    removals = remove_images(repo, stores, given(Images).images, keys, everywhere=named)
    progress = progress_for(given(Output))
    for change in removals.branches:
        progress.message(change.line())
    return removals


@query("prune", StoreArguments, PruneOptions, Rehearsal, Output)
def prune(given: Given, repo: Repo) -> Shown:
    """Delete layers and objects that nothing needs.

    First deletes the branches of layers and blobs that no store has, then commits of ours that no
    branch leads to, then all objects that no commit needs. Commits of other programs stay. prune
    waits until running imports have ended, and imports wait for prune.
    """
    from importer.imagestore.prune import prune as prune_repo

    keep, progress = given(PruneOptions).keep, progress_for(given(Output))
    prefix, dry_run = given(StoreArguments).prefix, given(Rehearsal).dry_run
    return prune_repo(repo, keep, prefix, progress, dry_run=dry_run)


@query("export", ExportOptions, InBranch, StoreArguments, Jobs, Output)
def export(given: Given, repo: Repo) -> Shown:
    """Write images and artifacts as an OCI layout, a dir: or an archive.

    DESTINATION is oci:DIR[:TAG], dir:DIR, oci-archive:FILE or docker-archive:FILE. The layers are
    the original tars, byte for byte, and the config is the original one: image id and diffIDs stay.
    The layers are not compressed. If the registry's layers were, the manifest is a new one without
    signatures. Prints the manifest's digest. Without a TAG, the layout has the tag of the image's
    name, or `latest`. Several images, and those in an archive, have all their names. Both archives
    are one format, which podman, Docker, containerd, k3s and RKE2 read. An artifact keeps its
    manifest, and goes to oci:DIR or dir:DIR; archives have images alone.
    """
    from importer.imagestore.export import ExportPlace, export_image
    from importer.imagestore.export_all import export_images
    from importer.store.find import find_stores

    options = given(ExportOptions)
    directory, tag, archive = _destination(options.destination)
    many = archive or options.all_images or len(options.images) > 1
    if many and tag != "":
        raise click.UsageError(f"{options.destination} has room for one image, without --all")
    stores = find_stores(repo, given(InBranch).branches, given(StoreArguments).prefix)
    progress, jobs = progress_for(given(Output)), given(Jobs).count
    if many:
        images = options.images
        return export_images(repo, stores, images, directory, progress, jobs, archive=archive)
    to = ExportPlace(directory, tag)
    return export_image(repo, stores, options.images[0], to, progress, jobs)


def _destination(text: str) -> tuple[Path, str | None, bool]:
    """Return the path, the tag of a layout, and whether the path is an archive's. The tag is "" if
    none is given, None for dir:."""
    transport, _, rest = text.partition(":")
    if transport in ("oci-archive", "docker-archive") and rest:
        return Path(rest), "", True
    directory, _, tag = rest.partition(":")
    if transport == "dir" and rest:
        return Path(rest), None, False
    if transport == "oci" and directory:
        return Path(directory), tag, False
    raise click.BadParameter(
        f"{text!r} is none of oci:DIR, oci:DIR:TAG, dir:DIR, oci-archive:FILE, docker-archive:FILE",
        param_hint="DESTINATION",
    )


@subcommand(
    "embed",
    OneBranch,
    BaseAndDestination,
    ArchitectureOption,
    Platform,
    StoreArguments,
    NewImage,
    InSystem,
    Access,
    Jobs,
    Downloads,
    Output,
    Rehearsal,
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
        status = UNCHANGED if given(Unchanged).unchanged_exit_77 else 0
        if given(Rehearsal).dry_run:
            from importer.embed.dry_run import plan_embed

            plan = plan_embed(_job(given), progress_for(given(Output)))
            return replace(plan, status=status if plan.unchanged else 0)
        from importer.embed.embed import embed as embed_store

        made = embed_store(_job(given), progress_for(given(Output)))
        return replace(made, status=status if made.published.unchanged else 0)

    end_shown(given, work)


def _job(given: Given) -> EmbedJob:
    from importer.embed.embed import EmbedJob
    from layers.oci.reference import Reference, registries

    images, new = given(BaseAndDestination), given(NewImage)
    base = Reference.parse(images.base) if images.base is not None else None
    to = Reference.parse(images.to)
    return EmbedJob(
        repo=given(StoreArguments).repo,
        branch=given(OneBranch).branch,
        prefix=given(StoreArguments).prefix,
        base=base,
        to=to,
        skopeo=skopeo(given, registries(filter(None, (base, to)))),
        jobs=given(Jobs).count,
        downloads=given(Downloads).max_parallel_downloads,
        labels=dict(new.labels),
        bound=new.bound,
        equivalence=new.selinux_equivalence,
        compression=new.compression,
        max_layers=new.max_layers,
        small=new.pack,
        device_units=new.device_units,
        rootfs=images.rootfs,
        existing=given(InSystem).existing_store,
        engines=given(InSystem).engines,
    )
