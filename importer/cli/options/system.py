"""Options on the operating system that a store is put into."""

from __future__ import annotations

from importer.cli.completion import branches_like
from importer.cli.options.declare import Heading, OptionGroup, choice, flag, option
from importer.cli.options.rules import demand, needs, not_chosen, present
from importer.cli.options.types import TextType, YesNo
from importer.commit.target import EngineOptions, ExistingStore


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
        TextType("BRANCH"),
        complete=branches_like,
        help="Add the store to the operating system in this branch, and commit the result to"
        " --branch.",
    )


class InSystem(OptionGroup):
    """The store and its configuration in the operating system."""

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
        default=ExistingStore.ERROR,
        help="If the operating system has a store at the prefix already: refuse (error), replace it"
        " (replace), or keep its images beside the new ones (merge).",
    )
    storage_conf: bool = flag(
        help="Also name the store in podman's configuration: in containers/storage.conf in /etc (a"
        " commit's /usr/etc), and in a drop-in where the operating system has storage.conf.d. If"
        " /usr is an overlay there, let podman's containers have user namespaces by a drop-in of"
        " containers.conf."
    )
    crio_conf: bool = flag(
        help="Also configure CRI-O in the operating system: crio/crio.conf.d/50-import-image.conf"
        " in /etc (a commit's /usr/etc) pins the store's images. If /usr is an overlay there, let"
        " CRI-O's pods have user namespaces by a drop-in of crio.service."
    )
    crio_internal_repair: bool | None = option(
        YesNo(),
        help="With --crio-conf: set CRI-O's internal_repair; false keeps images and containers"
        " after a crash.",
    )

    @property
    def engines(self) -> EngineOptions:
        """Return the options on the configuration of podman and CRI-O."""
        return EngineOptions(self.storage_conf, self.crio_conf, self.crio_internal_repair)
