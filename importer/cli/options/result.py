"""Options on the result: the repo, a copy of the store, the branch and the commit."""

from __future__ import annotations

from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import Heading, OptionGroup, choice, flag, option
from importer.cli.options.name_types import Branch, Prefix
from importer.cli.options.rules import (
    at_least_one,
    chosen,
    demand,
    needs,
    not_chosen,
    present,
    refuse,
)
from importer.cli.options.types import Number, OneOf, PlaceType, TextType, Timestamp
from importer.commit.target import ExistingStore, Form
from layers.storage.layer_id import LayerIds, Whiteouts

STDOUT = "tar:-"
REPO = "The ostree repo; created in bare-user mode if it does not exist."
NO_REPO = "--repo, or OSTREE_REPO, has to name the ostree repo, or --to a place for the store alone"


class CopyOptions(OptionGroup, heading=Heading.RESULT):
    """The repo, and a copy of the store outside of it."""

    COMMON = ("repo", "to")
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

    repo: Path | None = option(PlaceType(), envvar="OSTREE_REPO", help=REPO)
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


class Shape(OptionGroup, heading=Heading.RESULT):
    """The branch and the form of the commit of images."""

    COMMON = ("branch", "form")
    # A layer's branch and commit are the same for everybody.
    RULES = (
        at_least_one("repo", "to", error=NO_REPO),
        refuse(
            not_chosen("form", Form.STORE),
            *("flatten", "layer_ids", "onto", "storage_conf", "crio_conf"),
            *("selinux_label", "selinux_policy", "to", "artifacts"),
            error="{} is only for --form=store",
        ),
        refuse(
            chosen("form", Form.LAYERS),
            *("branch", "replace_branch", "subject", "timestamp", "gpg_sign", "sign_from_file"),
            error="{} is not for --form=layers",
        ),
    )

    branch: str | None = option(
        Branch(),
        complete=branches_like,
        help="Commit all images to this branch. Without it, import-image commits each image to"
        " oci/image/REF, and with --to all images to oci/to/PLACE; import-storage commits all"
        " images to oci/storage/GRAPHROOT.",
    )
    form: Form = choice(
        default=Form.STORE,
        help="What to commit: a containers-storage tree of the images (store), the layers' branches"
        " alone (layers), an image's root file system (rootfs), or an OCI runtime bundle of it with"
        " config.json (bundle).",
    )


class StoreContents(OptionGroup, heading=Heading.RESULT):
    """The store in the commit, and the branch that the commit goes to."""

    RULES = (
        demand(
            not_chosen("existing_store", ExistingStore.ERROR),
            "onto",
            error="--existing-store is only for --onto",
        ),
        needs("crio_conf", "onto", error="--crio-conf is only for --onto"),
    )

    flatten: bool = flag(
        help="Store each image as one layer with all of its files and no whiteouts."
    )
    layer_ids: LayerIds | None = option(
        OneOf(LayerIds),
        help="private: images that are pulled on a device copy the layers that they share with the"
        " store, and outlive an upgrade; standard: they need the store's layers. Without this"
        " option, a release and a store that images are merged into keep their ids, and other"
        " stores have private ones.",
    )
    whiteouts: Whiteouts | None = option(
        OneOf(Whiteouts),
        help="quoted: the store has whiteouts, which ostree makes when it is deployed; none: it has"
        " plain files only, for composefs and for OCI layers, and a layer that deletes files holds"
        " the files of the layers below, too. Without this option, none for --onto an operating"
        " system with composefs, else quoted.",
    )
    prefix: str = option(
        Prefix(),
        default="/usr/lib/containers/storage",
        help="The directory of the store in the commit.",
    )
    replace_branch: bool = flag(
        help="Replace a branch that another program made, such as an operating system's, or one"
        " whose operating system or history would be lost."
    )


class CommitMessage(OptionGroup, heading=Heading.RESULT):
    subject: str | None = option(TextType(empty=True), help="The commit's subject.")
    timestamp: int | None = option(
        Timestamp(),
        help="The commit's time, @SECONDS or ISO 8601; without it, the time when the newest image"
        " was created, or for trees now.",
    )
