"""Options of import-release alone: the release, its commit, and the files that get its images."""

from __future__ import annotations

from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    arguments,
    flag,
    option,
    pair,
    several,
)
from importer.cli.options.name_types import ArchitectureType, Branch, ReleaseName
from importer.cli.options.result import NO_REPO
from importer.cli.options.rules import at_least_one, exclusive, needs, present, refuse
from importer.cli.options.types import NotEmpty, Number, PlaceType

_WHICH = "name the release: by sources, a --stream or --from, by --locked alone, or by --diff alone"
_WRITING = (
    *("lock", "keep", "keep_going", "dry_run", "pin", "to"),
    *("updates", "new_files", "kustomizations", "crio_files"),
)


class ReleaseSources(OptionGroup, heading=Heading.IMAGES):
    """Options that name the release, and select its images."""

    COMMON = ("stream", "arches")

    sources: tuple[str, ...] = arguments(NotEmpty("[SOURCE]..."))
    stream: str | None = option(
        NotEmpty("NAME"), help="Take the newest release of this stream of a release controller."
    )
    controller: str | None = option(
        NotEmpty("URL"),
        envvar="IMPORT_RELEASE_CONTROLLER",
        help="The release controller: a URL with {arch}, {stream} and {suffix} in it; without it,"
        " OpenShift's.",
    )
    phases: tuple[str, ...] = several(
        NotEmpty(),
        "--phase",
        default=("Accepted",),
        help="Take a controller's release in this phase only; repeatable.",
    )
    arches: tuple[str, ...] = several(
        ArchitectureType(),
        "--arch",
        help="Import for this architecture; repeatable, each to a branch of its own.",
    )
    name: str | None = option(ReleaseName(), "--release", help="The release's name.")
    only: tuple[str, ...] = several(
        NotEmpty("PATTERN"), help="Import only components whose names match; repeatable."
    )
    exclude: tuple[str, ...] = several(
        NotEmpty("PATTERN"),
        help="Leave out components whose names match, or, for a pattern with a /, whose"
        " references match; repeatable.",
    )
    locked: Path | None = option(
        PlaceType("FILE"),
        help="Import exactly what --lock wrote to this file, and ask registries for blobs alone.",
    )


class ReleaseResult(OptionGroup, heading=Heading.RESULT):
    """The commits that the release goes into, and the files, such as MicroShift's, that get its
    images."""

    COMMON = ("branch", "keep", "updates")
    RULES = (
        at_least_one("sources", "stream", "lists", "locked", "diff", error=_WHICH),
        refuse(present("locked"), "sources", "stream", "lists", error=_WHICH),
        refuse(present("diff"), "sources", "stream", "lists", "locked", error=_WHICH),
        at_least_one("diff", "repo", "to", error=NO_REPO),
        exclusive("lock", "locked"),
        refuse(present("diff"), *_WRITING, error="--diff imports nothing, so {} has no use"),
        needs(
            "new_files",
            "components",
            error="--new-json needs --components, the components that go into the file",
        ),
        needs("components", "new_files", error="--components is only for --new-json"),
        needs(
            "image_references",
            "kustomizations",
            error="--image-references is only for --update-kustomization",
        ),
    )

    diff: tuple[str, str] | None = pair(
        NotEmpty("OLD NEW"), help="Compare two branches, commits or sources; import nothing."
    )
    branch: str | None = option(
        Branch(template=True),
        complete=branches_like,
        help="Commit to this branch, with {arch} in it for several architectures; without it,"
        " to oci/release/STREAM/ARCH.",
    )
    keep: int | None = option(Number(1), help="Keep the newest N releases on the branch.")
    keep_images: int = option(
        Number(0),
        default=0,
        help="Keep the images of the last N releases in the store beside the new ones, for"
        " containers and images on devices that need them after an upgrade or a rollback.",
    )
    keep_going: bool = flag(help="Commit without the images that failed, and exit with 3.")
    lock: Path | None = option(
        PlaceType("FILE"), help="Write the imported images to this file, for --locked."
    )
    updates: tuple[str, ...] = several(
        NotEmpty("[ARCH=]FILE"),
        "--update-json",
        help="Write the images into this MicroShift release file; repeatable.",
    )
    new_files: tuple[str, ...] = several(
        NotEmpty("[ARCH=]FILE"),
        "--new-json",
        help="Write a MicroShift release file with the components of --components; repeatable.",
    )
    components: tuple[str, ...] = several(
        NotEmpty("NAME,..."),
        help="The components of --new-json; the second --components belongs to the second"
        " --new-json, and a single one to all.",
    )
    kustomizations: tuple[str, ...] = several(
        NotEmpty("[ARCH=]FILE"),
        "--update-kustomization",
        help="Write the images into this kustomization file (newName and digest); repeatable.",
    )
    image_references: tuple[Path, ...] = several(
        PlaceType("FILE"),
        help="An ImageStream that says which components the images' names in a kustomization"
        " mean; repeatable.",
    )
    crio_files: tuple[str, ...] = several(
        NotEmpty("[ARCH=]FILE"),
        "--update-crio",
        help="Write the image of the component pod into this configuration file of CRI-O, as"
        " pause_image; repeatable.",
    )


class ReleaseReport(OptionGroup, heading=Heading.OUTPUT):
    RULES = (
        exclusive("as_json", "as_markdown"),
        needs("max_chars", "as_markdown", error="--max-chars is only for --markdown"),
    )

    as_markdown: bool = flag("--markdown", help="Print what changed, as Markdown.")
    max_chars: int | None = option(
        Number(200), help="Shorten the Markdown to this many characters."
    )
