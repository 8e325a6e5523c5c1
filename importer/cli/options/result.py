"""Options on the result: the repo, the branch, the commit, and the operating system below."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import (
    Heading,
    OptionGroup,
    choice,
    flag,
    option,
    options,
    required,
)
from importer.cli.options.name_types import Branch, Prefix
from importer.cli.options.rules import (
    at_least_one,
    chosen,
    demand,
    needs,
    not_chosen,
    not_for,
    only_for,
    present,
    refuse,
)
from importer.cli.options.types import Number, OneOf, PlaceType, TextType, Timestamp, YesNo
from importer.commit.target import EngineOptions, ExistingStore, Form
from layers.storage.layer_id import LayerIds, Whiteouts

_REPO = "The ostree repo; created in bare-user mode if it does not exist."
STDOUT = "tar:-"
NO_REPO = "--repo, or OSTREE_REPO, has to name the ostree repo, or --to a place for the store alone"


@options
class NewRepo(OptionGroup):
    """The repo to import into."""

    HEADING = Heading.RESULT
    COMMON = ("repo",)

    repo: Path = required("--repo", envvar="OSTREE_REPO", type=PlaceType(), help=_REPO)


@options
class OptionalRepo(OptionGroup):
    """The repo of a command that has something to do without one, too."""

    HEADING = Heading.RESULT
    COMMON = ("repo",)

    repo: Path | None = option("--repo", envvar="OSTREE_REPO", type=PlaceType(), help=_REPO)


@options
class RepoOrCopy(OptionalRepo):
    """The repo of a command that needs one, unless a copy of the store is all that is wanted."""

    RULES = (at_least_one("repo", "to", error=NO_REPO),)


@options
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
        "--to",
        metavar="PLACE",
        type=TextType(),
        help="Also write the store to DIR, tar:FILE, tar:- (standard output), oci:DIR[:TAG] or"
        " oci-archive:FILE. It has no whiteouts unless --whiteouts=quoted says so, for DIR only."
        " The repo is then a cache: without --repo and OSTREE_REPO it is import-image/repo in"
        " XDG_CACHE_HOME, or in ~/.cache.",
    )
    update: bool = flag(
        "--update",
        help="With --to: make an earlier copy in DIR equal to the new store, file by file,"
        " or replace tar:FILE.",
    )
    component_days: int | None = option(
        "--component-days",
        metavar="DAYS",
        type=Number(1),
        help="With --to DIR: mark each layer as a component (xattr user.component) that changes"
        " after about DAYS days (user.update-interval). chunkah and rpm-ostree, which divide an"
        " image into new layers, then keep the store's layers apart.",
    )


@options
class ToBranch(OptionGroup):
    """The branch of the images."""

    HEADING = Heading.RESULT
    COMMON = ("branch",)

    branch: str | None = option(
        "--branch",
        type=Branch(),
        complete=branches_like,
        help="Commit all images to this branch; without it, each image has a branch of its own.",
    )


class FormOption(Enum):
    """The values of --form."""

    STORE = "store"
    LAYERS = "layers"
    ROOTFS = "rootfs"
    BUNDLE = "bundle"


@options
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
        "--form",
        default=FormOption.STORE,
        help="What to commit: a containers-storage tree of the images (store), the layers' branches"
        " alone (layers), an image's root file system (rootfs), or an OCI runtime bundle of it with"
        " config.json (bundle).",
    )

    @property
    def of_commit(self) -> Form:
        """Return the form of the commit, in which a bundle is a root file system."""
        return Form.ROOTFS if self.form is FormOption.BUNDLE else Form(self.form.value)


@options
class StoreContents(OptionGroup):
    """The store in the commit."""

    HEADING = Heading.RESULT

    flatten: bool = flag(
        "--flatten", help="Store each image as one layer with all of its files and no whiteouts."
    )
    layer_ids: LayerIds | None = option(
        "--layer-ids",
        type=OneOf(LayerIds),
        help="private: images that are pulled on a device copy the layers that they share with the"
        " store, and outlive an upgrade; standard: they need the store's layers. Without this"
        " option, a release and a store that images are merged into keep their ids, and other"
        " stores have private ones.",
    )
    whiteouts: Whiteouts | None = option(
        "--whiteouts",
        type=OneOf(Whiteouts),
        help="quoted: the store has whiteouts, which ostree makes when it is deployed; none: it has"
        " plain files only, for composefs and for OCI layers, and a layer that deletes files holds"
        " the files of the layers below, too. Without this option, none for --onto an operating"
        " system with composefs, else quoted.",
    )
    prefix: str = option(
        "--prefix",
        type=Prefix(),
        default="/usr/lib/containers/storage",
        help="The directory of the store in the commit.",
    )


@options
class CommitMessage(OptionGroup):
    """How the branch is moved, and the commit's metadata."""

    HEADING = Heading.RESULT

    replace_branch: bool = flag(
        "--replace-branch",
        help="Replace a branch that another program made, such as an operating system's, or one"
        " whose operating system or history would be lost.",
    )
    subject: str | None = option(
        "--subject", type=TextType(empty=True), help="The commit's subject."
    )
    timestamp: int | None = option(
        "--timestamp",
        type=Timestamp(),
        help="The commit's time, @SECONDS or ISO 8601; without it, the time when the newest image"
        " was created.",
    )


@options
class System(OptionGroup):
    """The operating system's branch."""

    HEADING = Heading.SYSTEM
    COMMON = ("onto",)
    RULES = (
        needs("onto", "branch", error="--onto needs --branch, the branch to commit the result to"),
        demand(
            not_chosen("existing_store", ExistingStore.ERROR),
            "onto",
            error="--existing-store is only for --onto",
        ),
        needs("crio_conf", "onto", error="--crio-conf is only for --onto"),
    )

    onto: str | None = option(
        "--onto",
        metavar="BRANCH",
        type=TextType(),
        complete=branches_like,
        help="Add the store to the operating system in this branch, and commit the result to"
        " --branch.",
    )


@options
class InSystem(OptionGroup):
    """What changes in the operating system."""

    HEADING = Heading.SYSTEM
    COMMON = ("storage_conf", "crio_conf")
    RULES = (
        demand(
            present("crio_internal_repair"),
            "crio_conf",
            error="--crio-internal-repair is only for --crio-conf",
        ),
    )

    existing_store: ExistingStore = choice(
        "--existing-store",
        default=ExistingStore.ERROR,
        help="If the operating system has a store at the prefix already: refuse (error), replace it"
        " (replace), or keep its images beside the new ones (merge).",
    )
    storage_conf: bool = flag(
        "--storage-conf",
        help="Also name the store in podman's configuration: in containers/storage.conf in /etc (a"
        " commit's /usr/etc), and in a drop-in where the operating system has storage.conf.d. If"
        " /usr is an overlay there, let podman's containers have user namespaces by a drop-in of"
        " containers.conf.",
    )
    crio_conf: bool = flag(
        "--crio-conf",
        help="Also configure CRI-O in the operating system: crio/crio.conf.d/50-import-image.conf"
        " in /etc (a commit's /usr/etc) pins the store's images. If /usr is an overlay there, let"
        " CRI-O's pods have user namespaces by a drop-in of crio.service.",
    )
    crio_internal_repair: bool | None = option(
        "--crio-internal-repair",
        metavar="BOOL",
        type=YesNo(),
        help="With --crio-conf: set CRI-O's internal_repair; false keeps images and containers"
        " after a crash.",
    )

    @property
    def engines(self) -> EngineOptions:
        """Return what to configure of podman and CRI-O."""
        return EngineOptions(self.storage_conf, self.crio_conf, self.crio_internal_repair)
