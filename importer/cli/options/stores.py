"""Options of image-store: the repo, and the stores, branches and images in it."""

from __future__ import annotations

from pathlib import Path

from importer.cli.completion import branches_like, images_like
from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    argument,
    arguments,
    flag,
    option,
    required,
    several,
)
from importer.cli.options.rules import at_least_one, exclusive
from importer.cli.options.types import NotEmpty, Number, PlaceType, Seconds


class Branches(OptionGroup):
    """Any number of branches; without one, all."""

    HEADING = Heading.IMAGES

    branches: tuple[str, ...] = arguments(NotEmpty("[BRANCH]..."), complete=branches_like)


class OneBranch(OptionGroup):
    """A branch."""

    HEADING = Heading.IMAGES

    branch: str = argument(NotEmpty("BRANCH"), complete=branches_like)


class OneImage(OptionGroup):
    """An image."""

    HEADING = Heading.IMAGES

    image: str = argument(NotEmpty("IMAGE"), complete=images_like)


class Images(OptionGroup):
    """One image or several."""

    HEADING = Heading.IMAGES

    images: tuple[str, ...] = arguments(NotEmpty("IMAGE..."), required=True, complete=images_like)


class TwoStores(OptionGroup):
    """Two stores to compare."""

    HEADING = Heading.IMAGES

    old: str = argument(NotEmpty("A"), complete=branches_like)
    new: str = argument(NotEmpty("B"), complete=branches_like)


class ExportOptions(OptionGroup):
    """The images to export, and a layout, directory or archive to write."""

    HEADING = Heading.IMAGES
    COMMON = ("all_images",)
    RULES = (
        at_least_one("images", "all_images", error="name an IMAGE, or say --all"),
        exclusive("images", "all_images"),
    )

    images: tuple[str, ...] = arguments(NotEmpty("[IMAGE]..."), complete=images_like)
    destination: str = argument(NotEmpty("DESTINATION"))
    all_images: bool = flag("--all", help="Export all images.")


class InBranch(OptionGroup):
    """The branches to search for an image."""

    HEADING = Heading.IMAGES
    COMMON = ("branches",)

    branches: tuple[str, ...] = several(
        NotEmpty("NAME"),
        "--branch",
        complete=branches_like,
        help="Search this branch only; repeatable.",
    )


class StoreArguments(OptionGroup):
    """The repo, and the stores' place in it."""

    HEADING = Heading.IMAGES
    COMMON = ("repo",)

    repo: Path = required(PlaceType(), envvar="OSTREE_REPO", help="The ostree repo.")
    prefix: str | None = option(
        NotEmpty("DIR"),
        help="The directory of the stores in their commits; without it, the one that each"
        " commit's metadata names.",
    )


class DiffOptions(OptionGroup):
    """How much of a difference is told."""

    HEADING = Heading.RESULT
    COMMON = ("list_files", "lost", "layers")
    RULES = tuple(exclusive("layers", other) for other in ("list_files", "lost", "prefix"))

    list_files: bool = flag("--files", help="List the files that differ.")
    lost: bool = flag(
        help="List the images and layers that B lacks: what devices lose by the upgrade. Exit with"
        " 1 if there are any."
    )
    layers: bool = flag(
        help="Compare the layers of two container images; A and B are REF or TRANSPORT:... as"
        " skopeo writes them. Tell which layers a device with A pulls for B, and if they were made"
        " by embed from commits of this repo, what ostree would fetch."
    )


class RemoveOptions(OptionGroup):
    """The branches to remove images from."""

    HEADING = Heading.RESULT
    COMMON = ("branches",)

    branches: tuple[str, ...] = several(
        NotEmpty("NAME"),
        "--branch",
        complete=branches_like,
        help="Remove from this branch; repeatable. Needed if several branches have the images.",
    )


class PruneOptions(OptionGroup):
    """How much is deleted."""

    HEADING = Heading.RESULT
    COMMON = ("keep", "dry_run")

    keep: int | None = option(
        Number(1), help="Keep the newest N commits of each branch; without it, all."
    )
    dry_run: bool = flag("-n", help="Print what would be deleted; delete nothing.")


class ReportOptions(OptionGroup):
    """The page of a report."""

    HEADING = Heading.RESULT
    COMMON = ("output",)

    output: Path = required(
        PlaceType("FILE", directory=False, dash=True),
        "-o",
        help="Write the page to this file; - is standard output.",
    )


class OwnStorage(OptionGroup):
    """The device's own storage, and the read-only stores beside it."""

    HEADING = Heading.SYSTEM
    COMMON = ("root", "stores")

    root: Path = option(
        PlaceType("DIR"),
        default=Path("/var/lib/containers/storage"),
        help="The device's own storage.",
    )
    stores: tuple[Path, ...] = several(
        PlaceType("DIR"),
        "--store",
        help="An additional image store beside it; repeatable. Without this option, all stores"
        " that a configuration of podman or CRI-O names.",
    )


class Healing(OptionGroup):
    """How to heal a storage."""

    HEADING = Heading.SYSTEM
    COMMON = ("dry_run", "delete")

    lock_timeout: float = option(
        Seconds(),
        default=60.0,
        help="How long to wait for another program that holds the storage's locks.",
    )
    dry_run: bool = flag("-n", help="Print what would be done; change nothing.")
    delete: bool = flag(help="Then delete for good all that is aside.")
