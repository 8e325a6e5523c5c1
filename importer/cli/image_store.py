"""The command line of image-store."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.cli import options
from importer.cli.completion import branches_like, images_like
from importer.cli.finish import Answer, end
from importer.cli.messages import progress_for
from importer.cli.types import NotEmpty, Place
from importer.imagestore.diff import store_diff
from importer.imagestore.export import export_image
from importer.imagestore.history import store_history
from importer.imagestore.list_images import Listing
from importer.imagestore.prune import prune
from importer.imagestore.remove import own_stores, remove_images, stores_with
from importer.imagestore.report_data import report_data
from importer.imagestore.report_page import STDOUT, write_report
from importer.imagestore.show import image_details
from importer.render.table import rendered
from importer.repo.writer import Repo
from importer.store.reader import find_stores, open_store
from importer.verify.store import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.render.table import Shown

type Command = Callable[..., Any]
type Values = dict[str, Any]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_COMMON: list[Callable[[Any], Any]] = [
    click.option(
        "--repo",
        envvar="OSTREE_REPO",
        show_envvar=True,
        required=True,
        type=Place(path_type=Path),
        help="The ostree repo.",
    ),
    click.option(
        "--prefix",
        metavar="DIR",
        type=NotEmpty(),
        help="Where the stores lie in their commits; else where the commits' metadata says.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The result as a JSON document."),
    options.messages,
]
_IN_BRANCH = click.option(
    "--branch",
    "branches",
    metavar="NAME",
    type=NotEmpty(),
    multiple=True,
    shell_complete=branches_like,
    help="Look into this branch alone.",
)
_BRANCHES = click.argument(
    "branches",
    metavar="[BRANCH]...",
    type=NotEmpty(),
    nargs=-1,
    shell_complete=branches_like,
)
_BRANCH = click.argument("branch", type=NotEmpty(), shell_complete=branches_like)
_IMAGE = click.argument("image", type=NotEmpty(), shell_complete=images_like)


def _common(command: Command) -> Command:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="import-image")
def image_store() -> None:
    """See, check and clean up the container images in an ostree repo.

    A store is found in a branch by what import-image wrote into its commit, or at --prefix.
    IMAGE is a name, an id or its beginning, or a digest, as podman takes them.
    """


def _end(values: Values, work: Callable[[Repo], Shown]) -> None:
    def answer() -> Answer:
        shown = work(Repo.open(values["repo"]))
        if values["as_json"]:
            return Answer(json.dumps(shown.document(), indent=2), shown.status)
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return Answer(rendered(shown.blocks(), terminal=terminal), shown.status)

    end(answer, log_json=values["log_json"])


@image_store.command("list")
@_BRANCHES
@_common
def list_images(branches: tuple[str, ...], **values: Any) -> None:
    """List the images of these branches, or of all."""

    def work(repo: Repo) -> Shown:
        return Listing(find_stores(repo, branches, values["prefix"]), int(time.time()))

    _end(values, work)


@image_store.command()
@_IMAGE
@_IN_BRANCH
@_common
def show(image: str, branches: tuple[str, ...], **values: Any) -> None:
    """Show an image layer by layer.

    With the command that made each layer, what it ships, and how many bytes of that the
    layers above delete or replace (HIDDEN).
    """

    def work(repo: Repo) -> Shown:
        return image_details(repo, find_stores(repo, branches, values["prefix"]), image)

    _end(values, work)


@image_store.command()
@_BRANCH
@_common
def history(branch: str, **values: Any) -> None:
    """Show the commits of a branch, and what each changed.

    Newest first, with the images that came, changed or went.
    """
    _end(values, lambda repo: store_history(repo, branch, values["prefix"]))


@image_store.command()
@click.argument("old", metavar="A", type=NotEmpty(), shell_complete=branches_like)
@click.argument("new", metavar="B", type=NotEmpty(), shell_complete=branches_like)
@click.option("--files", "list_files", is_flag=True, help="List the files that differ.")
@_common
def diff(old: str, new: str, list_files: bool, **values: Any) -> None:
    """Show what differs from store A to store B.

    Each is a branch or a commit. Images, layers, the files that differ in the roots of images
    that both have, and the objects that a device with A has to fetch for B.
    """

    def work(repo: Repo) -> Shown:
        stores = [open_store(repo, name, values["prefix"]) for name in (old, new)]
        return store_diff(repo, stores[0], stores[1], list_files=list_files)

    _end(values, work)


@image_store.command("verify")
@_BRANCHES
@_common
def verify_stores(branches: tuple[str, ...], **values: Any) -> None:
    """Verify the stores in these branches, or in all.

    Every record is made again from the images' own documents and compared, and every
    layer's tar is made again from the stored files: it must have the layer's diffID, and
    mean the very tree that is stored, whiteouts included. Exits with 1 if anything is wrong.
    """

    def work(repo: Repo) -> Shown:
        stores = find_stores(repo, branches, values["prefix"], broken=True)
        return verify(repo, stores.found, progress_for(values))

    _end(values, work)


@image_store.command()
@click.argument(
    "images",
    metavar="IMAGE...",
    type=NotEmpty(),
    nargs=-1,
    required=True,
    shell_complete=images_like,
)
@click.option(
    "--branch",
    "branches",
    metavar="NAME",
    type=NotEmpty(),
    multiple=True,
    shell_complete=branches_like,
    help="Remove from this branch.",
)
@click.option("--all-branches", is_flag=True, help="Remove from every branch that has them.")
@options.signed
@_common
def remove(
    images: tuple[str, ...], branches: tuple[str, ...], all_branches: bool, **values: Any
) -> None:
    """Commit branches anew without these images.

    The new commit is the one that an import of the remaining images alone would make. The
    branch that import-image gave an image of its own is deleted with its last image. Nothing
    is freed yet: see prune.
    """
    keys = options.signing(values)
    prefix = values["prefix"]

    def work(repo: Repo) -> Shown:
        stores = (
            stores_with(repo, branches, prefix)
            if branches
            else own_stores(repo, find_stores(repo, (), prefix))
        )
        everywhere = all_branches or bool(branches)
        return remove_images(repo, stores, images, keys, everywhere=everywhere)

    _end(values, work)


@image_store.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of each branch, keep the newest N commits; else all.",
)
@click.option("--dry-run", "-n", is_flag=True, help="Only tell what would be deleted.")
@_common
def prune_repo(keep: int | None, dry_run: bool, **values: Any) -> None:
    """Delete what is no longer needed.

    First the branches of layers that no store has, then all objects that no branch needs. It
    waits for imports that are under way, and imports wait for it.
    """

    def work(repo: Repo) -> Shown:
        return prune(repo, keep, values["prefix"], progress_for(values), dry_run=dry_run)

    _end(values, work)


@image_store.command()
@_IMAGE
@click.argument("destination", metavar="oci:DIR[:TAG]", type=NotEmpty())
@_IN_BRANCH
@_common
def export(image: str, destination: str, branches: tuple[str, ...], **values: Any) -> None:
    """Write an image into an OCI layout.

    For skopeo, podman and others to read. The layers are the original tars, byte for byte, and
    the config is the original one: image id and diffIDs stay. The layers are not compressed,
    so the manifest, and the digest that this prints, are new. Without a TAG it is the one of
    the image's name, else `latest`.
    """

    def work(repo: Repo) -> Shown:
        stores = find_stores(repo, branches, values["prefix"])
        return export_image(repo, stores, image, directory, tag, progress_for(values))

    directory, tag = _destination(destination)
    _end(values, work)


def _destination(text: str) -> tuple[Path, str]:
    transport, _, rest = text.partition(":")
    directory, _, tag = rest.partition(":")
    if transport != "oci" or not directory:
        raise click.BadParameter("only oci:DIR and oci:DIR:TAG", param_hint="oci:DIR[:TAG]")
    return Path(directory), tag


@image_store.command()
@_BRANCH
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    required=True,
    type=Place(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write the page to this file; - is standard output.",
)
@click.option(
    "--since",
    metavar="COMMIT",
    type=NotEmpty(),
    shell_complete=branches_like,
    help="Compare with this commit or branch.",
)
@_common
def report(branch: str, output: Path, since: str | None, **values: Any) -> None:
    """Write a page that shows where the space of a store goes.

    One HTML file that needs nothing else: a picture of the store by image, layer and
    directory, what is shared and what is not, what flattening would save, the largest
    directories, and what changed since the parent commit, or since --since.
    """

    if values["as_json"] and output == STDOUT:
        raise click.UsageError("--json and -o - exclude each other")

    def work(repo: Repo) -> Shown:
        store = open_store(repo, branch, values["prefix"])
        return write_report(report_data(repo, store, since, values["prefix"]), output)

    _end(values, work)
