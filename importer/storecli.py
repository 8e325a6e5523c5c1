"""The command line of image-store."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer import options
from importer.export import export_image
from importer.imagedetails import image_details
from importer.listing import Listing
from importer.outcome import Answer, end
from importer.progress import for_terminal
from importer.pruning import prune
from importer.removal import own_stores, remove_images, stores_with
from importer.repo import Repo
from importer.report import write_report
from importer.reportdata import report_data
from importer.storediff import store_diff
from importer.storehistory import store_history
from importer.storeview import find_stores, open_store
from importer.table import rendered
from importer.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.table import Shown

type Command = Callable[..., Any]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_REPO = click.option(
    "--repo",
    envvar="OSTREE_REPO",
    required=True,
    type=click.Path(path_type=Path),
    help="The ostree repo.  [OSTREE_REPO]",
)
_PREFIX = click.option(
    "--prefix",
    metavar="DIR",
    help="Where the stores lie in their commits; else where the commits' metadata says.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="The result as a JSON document.")
_BRANCH = click.option(
    "--branch", "branches", metavar="NAME", multiple=True, help="Look into this branch alone."
)


def _common(command: Command) -> Command:
    for option in (_JSON, _PREFIX, _REPO):
        command = option(command)
    return command


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="import-image")
def image_store() -> None:
    """See, check and clean up the container images in an ostree repo.

    A store is found in a branch by what import-image wrote into its commit, or at --prefix.
    IMAGE is a name, an id or its beginning, or a digest, as podman takes them.
    """


def _end(work: Callable[[], Shown], *, as_json: bool) -> None:
    def answer() -> Answer:
        shown = work()
        if as_json:
            return Answer(json.dumps(shown.document(), indent=2), shown.status)
        return Answer(rendered(shown.blocks(), terminal=sys.stdout.isatty()), shown.status)

    end(answer)


@image_store.command("list")
@click.argument("branches", metavar="[BRANCH]...", nargs=-1)
@_common
def list_images(branches: tuple[str, ...], repo: Path, prefix: str | None, as_json: bool) -> None:
    """List the images of these branches, or of all."""
    _end(
        lambda: Listing(find_stores(Repo.open(repo), branches, prefix), int(time.time())),
        as_json=as_json,
    )


@image_store.command()
@click.argument("image")
@_BRANCH
@_common
def show(
    image: str, branches: tuple[str, ...], repo: Path, prefix: str | None, as_json: bool
) -> None:
    """Show an image layer by layer.

    With the command that made each layer, what it ships, and how many bytes of that the
    layers above delete or replace (HIDDEN).
    """

    def work() -> Shown:
        opened = Repo.open(repo)
        return image_details(opened, find_stores(opened, branches, prefix), image)

    _end(work, as_json=as_json)


@image_store.command()
@click.argument("branch")
@_common
def history(branch: str, repo: Path, prefix: str | None, as_json: bool) -> None:
    """Show the commits of a branch, newest first, and which images each changed."""
    _end(lambda: store_history(Repo.open(repo), branch, prefix), as_json=as_json)


@image_store.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--files", "list_files", is_flag=True, help="List the files that differ.")
@_common
def diff(
    old: str, new: str, list_files: bool, repo: Path, prefix: str | None, as_json: bool
) -> None:
    """Show what differs from store A to store B, each a branch or commit.

    Images, layers, the files that differ in the roots of images that both have, and the
    objects that a device with A has to fetch for B.
    """

    def work() -> Shown:
        opened = Repo.open(repo)
        stores = open_store(opened, old, prefix), open_store(opened, new, prefix)
        return store_diff(opened, *stores, list_files=list_files)

    _end(work, as_json=as_json)


@image_store.command("verify")
@click.argument("branches", metavar="[BRANCH]...", nargs=-1)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@_common
def verify_stores(
    branches: tuple[str, ...], repo: Path, prefix: str | None, quiet: bool, as_json: bool
) -> None:
    """Verify the stores in these branches, or in all.

    Every record is made again from the images' own documents and compared, and every
    layer's tar is made again from the stored files: it must have the layer's diffID, and
    mean the very tree that is stored, whiteouts included. Exits with 1 if anything is wrong.
    """

    def work() -> Shown:
        opened = Repo.open(repo)
        progress = for_terminal(quiet=quiet)
        return verify(opened, find_stores(opened, branches, prefix, broken=True).found, progress)

    _end(work, as_json=as_json)


@image_store.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--branch",
    "branches",
    metavar="NAME",
    multiple=True,
    help="Remove from this branch.",
)
@click.option("--all-branches", is_flag=True, help="Remove from every branch that has them.")
@options.signed
@_common
def remove(
    images: tuple[str, ...],
    branches: tuple[str, ...],
    all_branches: bool,
    repo: Path,
    prefix: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Commit branches anew without these images.

    The new commit is the one that an import of the remaining images alone would make. The
    branch that import-image gave an image of its own is deleted with its last image. Nothing
    is freed yet: see prune.
    """
    keys = options.signing(values)

    def work() -> Shown:
        opened = Repo.open(repo)
        stores = (
            stores_with(opened, branches, prefix)
            if branches
            else own_stores(opened, find_stores(opened, (), prefix))
        )
        everywhere = all_branches or bool(branches)
        return remove_images(opened, stores, images, keys, everywhere=everywhere)

    _end(work, as_json=as_json)


@image_store.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of each branch, keep the newest N commits; else all.",
)
@click.option("--dry-run", "-n", is_flag=True, help="Only tell what would be deleted.")
@click.option("--quiet", "-q", is_flag=True, help="No messages.")
@_common
def prune_repo(
    keep: int | None, dry_run: bool, quiet: bool, repo: Path, prefix: str | None, as_json: bool
) -> None:
    """Delete the layers that no store needs, then all objects that no branch needs.

    It waits for imports that are under way, and imports wait for it.
    """
    progress = for_terminal(quiet=quiet)
    _end(lambda: prune(Repo.open(repo), keep, prefix, progress, dry_run=dry_run), as_json=as_json)


@image_store.command()
@click.argument("image")
@click.argument("destination", metavar="oci:DIR[:TAG]")
@_BRANCH
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@_common
def export(
    image: str,
    destination: str,
    branches: tuple[str, ...],
    quiet: bool,
    repo: Path,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Write an image into an OCI layout, for skopeo and podman to read.

    The layers are the original tars, byte for byte, and the config is the original one: image
    id and diffIDs stay. The layers are not compressed, so the manifest, and the digest that
    this prints, are new. Without a TAG, the image is tagged as in its name, else `latest`.
    """

    def work() -> Shown:
        opened = Repo.open(repo)
        stores = find_stores(opened, branches, prefix)
        directory, tag = _destination(destination, image)
        return export_image(opened, stores, image, directory, tag, for_terminal(quiet=quiet))

    _end(work, as_json=as_json)


@image_store.command()
@click.argument("branch")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the page to this file.",
)
@click.option("--since", metavar="COMMIT", help="Compare with this commit or branch.")
@_common
def report(
    branch: str, output: Path, since: str | None, repo: Path, prefix: str | None, as_json: bool
) -> None:
    """Write a page that shows where the space of a store goes.

    One HTML file that needs nothing else: a picture of the store by image, layer and
    directory, what is shared and what is not, what flattening would save, the largest
    directories, and what changed since the parent commit, or since --since.
    """

    def work() -> Shown:
        opened = Repo.open(repo)
        store = open_store(opened, branch, prefix)
        return write_report(report_data(opened, store, since, prefix), output)

    _end(work, as_json=as_json)


def _destination(text: str, image: str) -> tuple[Path, str]:
    transport, _, rest = text.partition(":")
    directory, _, tag = rest.partition(":")
    if transport != "oci" or not directory:
        raise click.BadParameter("only oci:DIR and oci:DIR:TAG", param_hint="oci:DIR[:TAG]")
    named = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return Path(directory), tag or named or "latest"
