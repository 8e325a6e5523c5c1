"""Options of `image-store embed`: the base image, the destination, the new image's own."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    choice,
    flag,
    option,
    required,
    several,
)
from importer.cli.options.rules import at_least_one
from importer.cli.options.types import KeyValue, NotEmpty, Number, PlaceType
from layers.compress.compress import BlobCompression
from layers.storage.packing import Pack


class BaseAndDestination(OptionGroup):
    """The two images, each of any skopeo transport, or a directory in place of the base's files."""

    HEADING = Heading.IMAGES
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


class NewImage(OptionGroup):
    """Layers, labels and files of the new image that are its own."""

    HEADING = Heading.RESULT
    COMMON = ("dry_run", "compression", "labels")

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
    dry_run: bool = flag(
        help="Print which layers would be written, and which of them the image at the destination"
        " has already; write nothing."
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
