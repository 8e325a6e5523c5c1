"""The subcommands of image-store that only read the repo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from importer.cli.finish import query
from importer.cli.messages import progress_for
from importer.cli.options.given import Given
from importer.cli.options.images import ArchitectureOption, Platform
from importer.cli.options.output import ListForm, ListOutput, Output
from importer.cli.options.registry import Access
from importer.cli.options.stores import (
    Branches,
    DiffOptions,
    InBranch,
    OneBranch,
    OneImage,
    ReportOptions,
    StoreArguments,
    TwoStores,
)
from importer.cli.options.work import Jobs
from importer.cli.targets import skopeo

if TYPE_CHECKING:
    from importer.imagestore.diff_layers import LayersDiff
    from importer.render.table import Shown
    from importer.repo.writer import Repo


@query("list", Branches, StoreArguments, ListOutput, ListForm)
def list_images(given: Given, repo: Repo) -> Shown:
    """List the images and artifacts of these branches, or of all."""
    from importer.imagestore.list_images import Listing
    from importer.store.find import find_stores

    stores = find_stores(repo, given(Branches).branches, given(StoreArguments).prefix)
    form = given(ListForm)
    return Listing(
        stores,
        int(time.time()),
        ids=given(ListOutput).quiet,
        whole=form.no_trunc,
        template=form.template or "",
    )


@query("show", OneImage, InBranch, StoreArguments, Output)
def show(given: Given, repo: Repo) -> Shown:
    """Show an image layer by layer, or an artifact file by file.

    For each layer of an image: the command that made it, what it ships, and how many bytes of
    that the layers above delete or replace (HIDDEN).
    """
    from importer.imagestore.show import details
    from importer.store.find import find_stores

    stores = find_stores(repo, given(InBranch).branches, given(StoreArguments).prefix)
    return details(repo, stores, given(OneImage).image)


@query("history", OneBranch, StoreArguments, Output)
def history(given: Given, repo: Repo) -> Shown:
    """Show the commits of a branch, and what each changed.

    Newest first, with the images that were added, changed or removed.
    """
    from importer.imagestore.history import store_history

    return store_history(repo, given(OneBranch).branch, given(StoreArguments).prefix)


@query("diff", TwoStores, ArchitectureOption, Platform, StoreArguments, DiffOptions, Access, Output)
def diff(given: Given, repo: Repo) -> Shown:
    """Show what differs from store A to store B.

    A and B are branches or commits. Shown are images, layers, the files that differ in the
    roots of images that both stores have, and the objects that a device with A has to fetch
    for B. With --layers, A and B are container images, such as embed makes.
    """
    from importer.imagestore.diff import DiffParts, store_diff
    from importer.store.reader import open_store

    wanted = given(DiffOptions)
    if wanted.layers:
        return _layers_diff(given, repo)
    names, prefix = given(TwoStores), given(StoreArguments).prefix
    old, new = (open_store(repo, name, prefix) for name in (names.old, names.new))
    return store_diff(repo, old, new, DiffParts(wanted.list_files, wanted.lost))


@query("check-upgrade", TwoStores, ArchitectureOption, Platform, StoreArguments, Access, Output)
def check_upgrade(given: Given, repo: Repo) -> Shown:
    """Tell what an upgrade from A to B takes from a device.

    A and B are branches or commits, or bootable images that embed made from commits of the
    repo. For each image of A: whether containers that podman has made start again, whether
    pods find it, and why not. Then: images that a device pulled beside A, what it fetches, and
    the space that it needs meanwhile. Exit status 4 if anything does not go on by itself.
    """
    from importer.imagestore.check_upgrade import check_upgrade
    from importer.imagestore.diff_layers import embedded_stores
    from importer.store.reader import open_store

    names, prefix = given(TwoStores), given(StoreArguments).prefix
    if _name_images(repo, names):
        pulled = _layers_diff(given, repo)
        return check_upgrade(repo, *embedded_stores(repo, pulled, prefix), pulled)
    old, new = (open_store(repo, name, prefix) for name in (names.old, names.new))
    return check_upgrade(repo, old, new)


def _name_images(repo: Repo, names: TwoStores) -> bool:
    """Return whether both names are references of images, and no branches.

    A name that is no branch's is taken for an image if its reference can be parsed.
    """
    from importer.errors import ImporterError
    from layers.errors import LayerError
    from layers.oci.reference import Reference

    refs, are_images = repo.refs(), []
    for name in (names.old, names.new):
        try:
            are_images.append(name not in refs and bool(Reference.parse(name)))
        except LayerError:
            are_images.append(False)
    if are_images[0] != are_images[1]:
        image, store = (names.old, names.new) if are_images[0] else (names.new, names.old)
        raise ImporterError(
            f"{image} is an image, and {store} is none",
            hint="compare two branches or commits, or two images that were embedded",
        )
    return are_images[0]


def _layers_diff(given: Given, repo: Repo) -> LayersDiff:
    from importer.imagestore.diff_layers import diff_layers
    from layers.oci.reference import Reference, registries

    names = given(TwoStores)
    old, new = (Reference.parse(name) for name in (names.old, names.new))
    how = skopeo(given, registries([old, new]))
    return diff_layers(repo, how, old, new, progress_for(given(Output)))


@query("verify", Branches, StoreArguments, Jobs, Output)
def verify(given: Given, repo: Repo) -> Shown:
    """Verify the stores in these branches, or in all.

    Every record is compared with the images' own documents. Every layer's tar is put together
    from the stored files: it must have the layer's diffID, and mean the tree that is stored,
    whiteouts included. Exits with 1 if anything is wrong.
    """
    from importer.store.find import find_stores
    from importer.verify.store import verify as verify_stores

    prefix = given(StoreArguments).prefix
    stores = find_stores(repo, given(Branches).branches, prefix, broken=True)
    progress, jobs = progress_for(given(Output)), given(Jobs).count
    return verify_stores(repo, stores, progress, jobs)


@query("report", OneBranch, StoreArguments, ReportOptions, Output)
def report(given: Given, repo: Repo) -> Shown:
    """Write a page that shows where the space of a store goes.

    One HTML file that needs nothing else: a picture of the store by image, layer and
    directory, what is shared and what is not, what flattening would save, the largest
    directories, and what changed since the parent commit.
    """
    from importer.imagestore.report_data import report_data
    from importer.imagestore.report_page import STDOUT, write_report
    from importer.store.reader import open_store

    options, prefix = given(ReportOptions), given(StoreArguments).prefix
    if given(Output).as_json and options.output == STDOUT:
        raise click.UsageError("--json and -o - exclude each other: both are standard output")
    store = open_store(repo, given(OneBranch).branch, prefix)
    return write_report(report_data(repo, store, prefix), options.output)
