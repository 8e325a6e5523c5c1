"""Options on a copy of the store outside of the repo."""

from __future__ import annotations

from importer.cli.options.declare import Heading, OptionGroup, flag, option
from importer.cli.options.result import OptionalRepo
from importer.cli.options.rules import at_least_one, chosen, needs, present, refuse
from importer.cli.options.types import Number, TextType

STDOUT = "tar:-"
NO_REPO = "--repo, or OSTREE_REPO, has to name the ostree repo, or --to a place for the store alone"


class RepoOrCopy(OptionalRepo):
    """The repo of a command that needs one, unless a copy of the store is all that is wanted."""

    RULES = (at_least_one("repo", "to", error=NO_REPO),)


class CopyOptions(OptionGroup):
    """A copy of the store outside of the repo."""

    HEADING = Heading.RESULT
    COMMON = ("to",)
    RULES = (
        needs("update", "to", error="--update is only for --to"),
        needs("component_days", "to", error="--component-days is only for --to"),
        refuse(
            present("to"),
            "onto",
            "storage_conf",
            "crio_conf",
            "selinux_label",
            "selinux_policy",
            error="{} is not for --to, which writes a store alone",
        ),
        refuse(
            chosen("to", STDOUT),
            "as_json",
            "as_markdown",
            error=f"{{}} and --to={STDOUT} both write to standard output",
        ),
    )

    to: str | None = option(
        TextType("PLACE"),
        help="Also write the store to DIR, tar:FILE, tar:- (standard output), oci:DIR[:TAG] or"
        " oci-archive:FILE. It has no whiteouts unless --whiteouts=quoted says so, for DIR only."
        " The repo is then a cache: without --repo and OSTREE_REPO it is import-image/repo in"
        " XDG_CACHE_HOME, or in ~/.cache.",
    )
    update: bool = flag(
        help="With --to: make an earlier copy in DIR equal to the new store, file by file,"
        " or replace tar:FILE."
    )
    component_days: int | None = option(
        Number(1, name="DAYS"),
        help="With --to DIR: mark each layer as a component (xattr user.component) that changes"
        " after about DAYS days (user.update-interval). chunkah and rpm-ostree, which divide an"
        " image into new layers, then keep the store's layers apart.",
    )
