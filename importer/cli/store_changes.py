"""The subcommands of image-store that change the repo, or write an image out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.messages import progress_for
from importer.cli.options.declare import Given, subcommand
from importer.cli.options.labels import Signing
from importer.cli.options.output import Document, Messages
from importer.cli.options.stores import (
    ExportOptions,
    Images,
    InBranch,
    OneImage,
    PruneOptions,
    RemoveOptions,
    StoreArguments,
)
from importer.cli.options.work import Jobs
from importer.cli.run_query import end_query
from importer.cli.signing_keys import signing

if TYPE_CHECKING:
    from importer.render.table import Shown
    from importer.repo.writer import Repo


@subcommand("remove", Images, StoreArguments, RemoveOptions, Signing, Messages, Document)
def remove(given: Given) -> None:
    """Commit branches again without these images.

    The new commit is the one that an import of the remaining images alone would make. A branch
    that import-image made for a single image is deleted with its last image. No space is freed
    yet: see prune.
    """

    def work(repo: Repo) -> Shown:
        from importer.imagestore.remove import own_stores, remove_images

        removal, prefix = given(RemoveOptions), given(StoreArguments).prefix
        stores = own_stores(repo, removal.branches, prefix)
        keys, named = signing(given(Signing)), bool(removal.branches)
        return remove_images(repo, stores, given(Images).images, keys, everywhere=named)

    end_query(given, work)


@subcommand("prune", StoreArguments, PruneOptions, Messages, Document)
def prune(given: Given) -> None:
    """Delete layers and objects that nothing needs.

    First deletes the branches of layers that no store has, then commits of ours that no branch
    leads to, then all objects that no commit needs. Commits of other programs stay. prune waits
    until running imports have ended, and imports wait for prune.
    """

    def work(repo: Repo) -> Shown:
        from importer.imagestore.prune import prune as prune_repo

        pruning, progress = given(PruneOptions), progress_for(given(Messages))
        prefix = given(StoreArguments).prefix
        return prune_repo(repo, pruning.keep, prefix, progress, dry_run=pruning.dry_run)

    end_query(given, work)


@subcommand("export", OneImage, ExportOptions, InBranch, StoreArguments, Jobs, Messages, Document)
def export(given: Given) -> None:
    """Write an image as an OCI layout or a dir:.

    skopeo, podman and others read both, an OCI layout or a directory of skopeo's dir:
    transport. The layers are the original tars, byte for byte, and the config is the original
    one: image id and diffIDs stay. The layers are not compressed. If the registry's layers
    were, the manifest is a new one without signatures. Prints the manifest's digest. Without a
    TAG, the layout has the tag of the image's name, or `latest`.
    """
    directory, tag = _destination(given(ExportOptions).destination)

    def work(repo: Repo) -> Shown:
        from importer.imagestore.export import export_image
        from importer.imagestore.export_layer import ExportPlace
        from importer.store.find import find_stores

        stores = find_stores(repo, given(InBranch).branches, given(StoreArguments).prefix)
        to, progress = ExportPlace(directory, tag), progress_for(given(Messages))
        image, jobs = given(OneImage).image, given(Jobs).count
        return export_image(repo, stores, image, to, progress, jobs)

    end_query(given, work)


def _destination(text: str) -> tuple[Path, str | None]:
    """Return the directory, and the tag of a layout: "" if none is given, None for dir:."""
    transport, _, rest = text.partition(":")
    directory, _, tag = rest.partition(":")
    if transport == "dir" and rest:
        return Path(rest), None
    if transport == "oci" and directory:
        return Path(directory), tag
    raise click.BadParameter(
        f"{text!r} is none of oci:DIR, oci:DIR:TAG, dir:DIR", param_hint="oci:DIR[:TAG]|dir:DIR"
    )
