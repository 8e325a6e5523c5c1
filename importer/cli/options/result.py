"""Options on the result: the repo, the branch and the commit."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import Heading, OptionGroup, choice, flag, option, required
from importer.cli.options.name_types import Branch, Prefix
from importer.cli.options.rules import not_for, only_for
from importer.cli.options.types import OneOf, PlaceType, TextType, Timestamp
from importer.commit.target import Form
from layers.storage.layer_id import LayerIds, Whiteouts

_REPO = "The ostree repo; created in bare-user mode if it does not exist."


class NewRepo(OptionGroup):
    """The repo to import into."""

    HEADING = Heading.RESULT
    COMMON = ("repo",)

    repo: Path = required(PlaceType(), envvar="OSTREE_REPO", help=_REPO)


class OptionalRepo(OptionGroup):
    """The repo of a command that has something to do without one, too."""

    HEADING = Heading.RESULT
    COMMON = ("repo",)

    repo: Path | None = option(PlaceType(), envvar="OSTREE_REPO", help=_REPO)


class ToBranch(OptionGroup):
    """The branch of the images."""

    HEADING = Heading.RESULT
    COMMON = ("branch",)

    branch: str | None = option(
        Branch(),
        complete=branches_like,
        help="Commit all images to this branch; without it, each image has a branch of its own.",
    )


class FormOption(Enum):
    """The values of --form."""

    STORE = "store"
    LAYERS = "layers"
    ROOTFS = "rootfs"
    BUNDLE = "bundle"


class Shape(OptionGroup):
    """The form of the commit."""

    HEADING = Heading.RESULT
    COMMON = ("form",)
    # A layer's branch and commit are the same for everybody.
    RULES = (
        only_for(
            "form",
            FormOption.STORE,
            "flatten",
            "layer_ids",
            "onto",
            "storage_conf",
            "crio_conf",
            "selinux_label",
            "selinux_policy",
            "to",
        ),
        not_for(
            "form",
            FormOption.LAYERS,
            "branch",
            "replace_branch",
            "subject",
            "timestamp",
            "gpg_sign",
            "sign_from_file",
        ),
    )

    form: FormOption = choice(
        default=FormOption.STORE,
        help="What to commit: a containers-storage tree of the images (store), the layers' branches"
        " alone (layers), an image's root file system (rootfs), or an OCI runtime bundle of it with"
        " config.json (bundle).",
    )

    @property
    def of_commit(self) -> Form:
        """Return the form of the commit, in which a bundle is a root file system."""
        return Form.ROOTFS if self.form is FormOption.BUNDLE else Form(self.form.value)


class StoreContents(OptionGroup):
    """The store in the commit."""

    HEADING = Heading.RESULT

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


class CommitMessage(OptionGroup):
    """How the branch is moved, and the commit's metadata."""

    HEADING = Heading.RESULT

    replace_branch: bool = flag(
        help="Replace a branch that another program made, such as an operating system's, or one"
        " whose operating system or history would be lost."
    )
    subject: str | None = option(TextType(empty=True), help="The commit's subject.")
    timestamp: int | None = option(
        Timestamp(),
        help="The commit's time, @SECONDS or ISO 8601; without it, the time when the newest image"
        " was created.",
    )
