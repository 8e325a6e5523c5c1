"""Options on the images: which ones, for which platform, and what their layers may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    argument,
    arguments,
    choice,
    flag,
    option,
    setting,
    several,
)
from importer.cli.options.name_types import ArchitectureType
from importer.cli.options.rules import at_least_one, demand, present
from importer.cli.options.types import NotEmpty, Number, PlaceType, Size, Transports
from layers.document import MAX_TEXT_SIZE
from layers.limits import CALL_LIMITS, DeviceNodes, Limits

if TYPE_CHECKING:
    from layers.lists.detect import ListRules

_LIMITS = Limits()


class Lists(OptionGroup, heading=Heading.IMAGES):
    COMMON = ("lists",)
    RULES = (demand(present("pin"), "lists", error="--pin is only for --from"),)

    lists: tuple[Path, ...] = several(
        PlaceType("FILE|DIR", dash=True),
        "--from",
        help="Import the images that a file lists: a blueprint, a Compose file, Kubernetes"
        " manifests, a kustomization, a Quadlet unit, or one image a line; `-` is standard input;"
        " or a directory with a kustomization, or with units and manifests; repeatable.",
    )
    pin: Path | None = option(
        PlaceType("FILE|DIR"),
        help="Write the file of --from again, with name@sha256:... in place of tags; several go"
        " into a directory.",
    )
    allowed: frozenset[str] | None = option(
        Transports(),
        "--allow-transports",
        help="Take images of these transports of skopeo, such as oci or containers-storage, from"
        " lists in local files; otherwise lists name registries alone.",
    )

    max_list_size: int = setting(Size(), default=MAX_TEXT_SIZE)

    @property
    def rules(self) -> ListRules:
        """Return the rules for lists in local files."""
        from layers.lists.detect import ListRules
        from layers.oci.reference import REGISTRIES

        return ListRules(REGISTRIES | (self.allowed or frozenset()), self.max_list_size)


class ImageArguments(OptionGroup, heading=Heading.IMAGES):
    RULES = (
        at_least_one(
            "references", "lists", "artifacts", error="name images: by REF, or a list by --from"
        ),
    )

    references: tuple[str, ...] = arguments(NotEmpty("[[NAME=]REF]..."))
    artifacts: tuple[str, ...] = several(
        NotEmpty("[NAME=]REF"),
        "--artifact",
        help="Put an artifact, such as a model or a chart, beside the images, for podman and CRI-O;"
        " repeatable.",
    )
    exclude: tuple[str, ...] = several(
        NotEmpty("PATTERN"),
        help="Leave out images of lists whose references match, as in 'quay.io/x/*'; repeatable.",
    )


class GraphrootOption(OptionGroup, heading=Heading.IMAGES):
    graphroot: Path = argument(PlaceType("GRAPHROOT", readable=False))
    names: tuple[str, ...] = arguments(NotEmpty("[NAME]..."))
    verified_only: bool = flag(
        help="Refuse layers without a tar-split record, which cannot be verified."
    )


class ArchitectureOption(OptionGroup, heading=Heading.IMAGES):
    COMMON = ("arch",)

    arch: str | None = option(ArchitectureType(), help="Take the image for this architecture.")


class Platform(OptionGroup, heading=Heading.IMAGES):
    """The operating system and the variant to take from a multi-platform image."""

    os: str | None = option(NotEmpty(), help="Take the image for this operating system.")
    variant: str | None = option(
        NotEmpty(), help="Take the image for this variant of the architecture."
    )


class DeviceRules(OptionGroup, heading=Heading.IMAGES):
    """Device nodes, of which ostree has none."""

    device_nodes: DeviceNodes = choice(
        default=DeviceNodes.AUTO,
        help="auto: leave out device nodes, and fifos of trees, below /dev, refuse others; skip:"
        " leave out all; error: refuse all. Whiteouts and backingFsBlockDev are none of these.",
    )


class LayerRules(DeviceRules):
    """Bounds on a layer's content, and on all layers together."""

    max_size: int = setting(Size(), default=CALL_LIMITS.size)
    max_layer_size: int = setting(Size(), default=_LIMITS.size)
    max_layer_entries: int = setting(Number(1), default=_LIMITS.entries)
    max_entries: int = setting(Number(1), default=CALL_LIMITS.entries)
