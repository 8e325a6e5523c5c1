"""Options of image-store: the repo, its stores, branches and images; embed's and a device's."""

from __future__ import annotations

from pathlib import Path

from importer.cli.completion import branches_like, images_like
from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    argument,
    arguments,
    choice,
    flag,
    option,
    required,
    several,
)
from importer.cli.options.rules import at_least_one, exclusive
from importer.cli.options.types import KeyValue, NotEmpty, Number, PlaceType, Seconds
from layers.compress.compress import BlobCompression
from layers.storage.packing import Pack


class Branches(OptionGroup, heading=Heading.IMAGES):
    """Any number of branches; without one, all."""

    branches: tuple[str, ...] = arguments(NotEmpty("[BRANCH]..."), complete=branches_like)


class OneBranch(OptionGroup, heading=Heading.IMAGES):
    branch: str = argument(NotEmpty("BRANCH"), complete=branches_like)


class OneImage(OptionGroup, heading=Heading.IMAGES):
    image: str = argument(NotEmpty("IMAGE"), complete=images_like)


class Images(OptionGroup, heading=Heading.IMAGES):
    images: tuple[str, ...] = arguments(NotEmpty("IMAGE..."), required=True, complete=images_like)


class TwoStores(OptionGroup, heading=Heading.IMAGES):
    old: str = argument(NotEmpty("A"), complete=branches_like)
    new: str = argument(NotEmpty("B"), complete=branches_like)


class ExportOptions(OptionGroup, heading=Heading.IMAGES):
    """The images to export, and a layout, directory or archive to write."""

    COMMON = ("all_images",)
    RULES = (
        at_least_one("images", "all_images", error="name an IMAGE, or say --all"),
        exclusive("images", "all_images"),
    )

    images: tuple[str, ...] = arguments(NotEmpty("[IMAGE]..."), complete=images_like)
    destination: str = argument(NotEmpty("DESTINATION"))
    all_images: bool = flag("--all", help="Export all images.")


class InBranch(OptionGroup, heading=Heading.IMAGES):
    """The branches whose images are meant."""

    COMMON = ("branches",)

    branches: tuple[str, ...] = several(
        NotEmpty("NAME"),
        "--branch",
        complete=branches_like,
        help="Only images in this branch; repeatable. remove needs it if several branches have"
        " an image.",
    )


class StoreArguments(OptionGroup, heading=Heading.IMAGES):
    """The repo, and the stores' place in it."""

    COMMON = ("repo",)

    repo: Path = required(PlaceType(), envvar="OSTREE_REPO", help="The ostree repo.")
    prefix: str | None = option(
        NotEmpty("DIR"),
        help="The directory of the stores in their commits; without it, the one that each"
        " commit's metadata names.",
    )


class DiffOptions(OptionGroup, heading=Heading.RESULT):
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


class PruneOptions(OptionGroup, heading=Heading.RESULT):
    COMMON = ("keep",)

    keep: int | None = option(
        Number(1), help="Keep the newest N commits of each branch; without it, all."
    )


class ReportOptions(OptionGroup, heading=Heading.RESULT):
    COMMON = ("output",)

    output: Path = required(
        PlaceType("FILE", directory=False, dash=True),
        "-o",
        help="Write the page to this file; - is standard output.",
    )


class OwnStorage(OptionGroup, heading=Heading.SYSTEM):
    """The device's own storage, and the read-only stores beside it."""

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


class Healing(OptionGroup, heading=Heading.SYSTEM):
    COMMON = ("delete",)

    lock_timeout: float = option(
        Seconds(),
        default=60.0,
        help="How long to wait for another program that holds the storage's locks.",
    )
    delete: bool = flag(help="Also delete for good all images that are aside.")


class BaseAndDestination(OptionGroup, heading=Heading.IMAGES):
    """The two images, each of any skopeo transport, or a directory in place of the base's files."""

    COMMON = ("base", "rootfs", "to")
    RULES = (at_least_one("base", "rootfs", error="name the --base image or a --rootfs directory"),)

    base: str | None = option(
        NotEmpty("REF"),
        help="The container image that the store is put into: registry/name:TAG,"
        " registry/name@sha256:DIGEST, or TRANSPORT:... as skopeo writes it.",
    )
    rootfs: Path | None = option(
        PlaceType("DIR"),
        help="Put the store upon the files of a directory, such as a mounted stage of a"
        " Containerfile. They become one layer. A --base then gives the new image's config,"
        " labels and annotations alone.",
    )
    to: str = required(
        NotEmpty("REF"),
        help="Where the new image goes: oci:DIR[:TAG], or any other REF that skopeo copies to.",
    )


class NewImage(OptionGroup, heading=Heading.RESULT):
    """Layers, labels and files of the new image that are its own."""

    COMMON = ("compression", "labels")

    compression: BlobCompression = choice(
        default=BlobCompression.GZIP,
        help="The new layers' compression. zstd is faster and smaller; bootc reads it since 2024.",
    )
    labels: tuple[tuple[str, str], ...] = several(
        KeyValue(), "--label", help="Add a label; repeatable."
    )
    selinux_equivalence: bool = flag(
        help="Let the SELinux policy of the base label the store as podman's own storage: add a"
        " line to its file_contexts.subs."
    )
    bound: bool = flag(
        help="Also make each image one of bootc's logically bound images; bootc then pulls them"
        " into a storage of its own as well."
    )
    device_units: bool = flag(
        help="Also add the program of image-store heal and doctor, and their systemd units; heal"
        " runs at each boot before CRI-O. The base needs Python 3.9 or later."
    )
    pack: Pack = choice(
        default=Pack.UPDATES,
        help="updates: an image of the store that changes brings its own layers alone; size: layers"
        " that delete files are in one layer with all that they share, whatever images they are"
        " of, so that nothing is there twice.",
    )
    max_layers: int = option(
        Number(1, 500),
        default=128,
        help="The most layers that the image may have, the base's included. If there would be"
        " more, layers that the same images have go together.",
    )
