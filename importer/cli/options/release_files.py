"""Options of import-release on files that get the release's images."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import Heading, OptionGroup, options, several
from importer.cli.options.rules import demand, present, refuse
from importer.cli.options.types import NotEmpty, PlaceType

_FILES = ("updates", "new_files", "kustomizations", "crio_files")


@options
class ReleaseFiles(OptionGroup):
    """Files in a repository of sources, such as MicroShift's, that name the images."""

    HEADING = Heading.RESULT
    COMMON = ("updates",)
    RULES = (
        refuse(present("diff"), *_FILES, error="--diff imports nothing, so {} has no use"),
        demand(
            present("new_files"),
            "components",
            error="--new-json needs --components, the components that go into the file",
        ),
        demand(present("components"), "new_files", error="--components is only for --new-json"),
        demand(
            present("image_references"),
            "kustomizations",
            error="--image-references is only for --update-kustomization",
        ),
    )

    updates: tuple[str, ...] = several(
        "--update-json",
        metavar="[ARCH=]FILE",
        type=NotEmpty(),
        help="Write the images into this MicroShift release file; repeatable.",
    )
    new_files: tuple[str, ...] = several(
        "--new-json",
        metavar="[ARCH=]FILE",
        type=NotEmpty(),
        help="Write a MicroShift release file with the components of --components; repeatable.",
    )
    components: tuple[str, ...] = several(
        "--components",
        metavar="NAME,...",
        type=NotEmpty(),
        help="The components of --new-json; the second --components belongs to the second"
        " --new-json, and a single one to all.",
    )
    kustomizations: tuple[str, ...] = several(
        "--update-kustomization",
        metavar="[ARCH=]FILE",
        type=NotEmpty(),
        help="Write the images into this kustomization file (newName and digest); repeatable.",
    )
    image_references: tuple[Path, ...] = several(
        "--image-references",
        metavar="FILE",
        type=PlaceType(),
        help="An ImageStream that says which components the images' names in a kustomization"
        " mean; repeatable.",
    )
    crio_files: tuple[str, ...] = several(
        "--update-crio",
        metavar="[ARCH=]FILE",
        type=NotEmpty(),
        help="Write the image of the component pod into this configuration file of CRI-O, as"
        " pause_image; repeatable.",
    )
