"""Options of import-tree, spelled as `ostree commit` spells its own."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    argument,
    arguments,
    choice,
    flag,
    option,
    required,
    setting,
)
from importer.cli.options.images import DeviceRules
from importer.cli.options.name_types import Branch, TreePrefix
from importer.cli.options.result import REPO
from importer.cli.options.rules import exclusive
from importer.cli.options.types import Number, PlaceType, Size
from layers.limits import CALL_LIMITS


class Opaque(Enum):
    """How to treat an opaque directory whose lower layers are unknown."""

    KEEP = "keep"
    ERROR = "error"


class TreeRules(DeviceRules):
    opaque: Opaque = choice(
        default=Opaque.KEEP,
        help="An opaque directory whose lower layers are not in the tree: keep its xattr, which"
        " ostree deploys, or refuse it (error).",
    )


class TreeArguments(OptionGroup, heading=Heading.IMAGES):
    """The directories to commit, and changes to their files in the commit."""

    COMMON = ("owner_uid", "owner_gid", "skip_list")

    roots: tuple[Path, ...] = arguments(PlaceType("ROOT...", readable=False), required=True)
    owner_uid: int | None = option(
        Number(0, 2**32 - 2, name="UID"), help="Give all files this owner."
    )
    owner_gid: int | None = option(
        Number(0, 2**32 - 2, name="GID"), help="Give all files this group."
    )
    no_xattrs: bool = flag(help="Commit no extended attributes.")
    canonical_permissions: bool = flag(
        help="Give all files the owner 0:0, no xattrs, and at most mode 0755."
    )
    statoverride: Path | None = option(
        PlaceType("FILE", directory=False),
        help="Change modes: a line MODE PATH adds the bits, =MODE PATH sets them; decimal.",
    )
    skip_list: Path | None = option(
        PlaceType("FILE", directory=False),
        help="Leave out the files and directories that this file names, a path on each line.",
    )
    no_cache: bool = flag(
        help="Read all files again, also those that have not changed since the last commit."
    )
    max_size: int = setting(Size(), default=CALL_LIMITS.size)


class TreeCommit(OptionGroup, heading=Heading.RESULT):
    COMMON = ("repo", "branch", "tree_prefix")

    repo: Path = required(PlaceType(), envvar="OSTREE_REPO", help=REPO)
    branch: str = required(Branch(), complete=branches_like, help="Commit to this branch.")
    tree_prefix: str | None = option(
        TreePrefix(),
        "--prefix",
        help="The directory in the commit that the trees go to; without it, the root.",
    )


class TranslateArguments(OptionGroup, heading=Heading.RESULT):
    """Options of `import-tree translate`, which changes a tree on the disk."""

    RULES = (exclusive("undo", "dry_run"),)
    COMMON = ("undo", "force", "journal")

    root: Path = argument(PlaceType("ROOT", readable=False))
    undo: bool = flag(help="Undo the changes of an earlier run, by its journal.")
    force: bool = flag(help="Change a tree that is mounted or in use as well.")
    journal: Path | None = option(
        PlaceType("FILE", directory=False),
        help="The journal for --undo; without it, a file beside ROOT.",
    )
