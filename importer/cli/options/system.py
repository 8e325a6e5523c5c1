"""Options on the operating system that a store is put into, on SELinux labels and signatures."""

from __future__ import annotations

from pathlib import Path

from importer.cli.completion import branches_like
from importer.cli.options.declare import Heading, OptionGroup, choice, flag, option
from importer.cli.options.rules import chosen, demand, needs, present
from importer.cli.options.types import Context, PlaceType, TextType, YesNo
from importer.commit.target import EngineOptions, ExistingStore, GpgKey, KeyFile


class System(OptionGroup, heading=Heading.SYSTEM):
    COMMON = ("onto",)
    RULES = (
        needs("onto", "branch", error="--onto needs --branch, the branch to commit the result to"),
    )

    onto: str | None = option(
        TextType("BRANCH"),
        complete=branches_like,
        help="Put what is imported into the operating system in this branch, at --prefix, and"
        " commit the result to --branch.",
    )


class InSystem(OptionGroup, heading=Heading.SYSTEM):
    """The store and its configuration in the operating system."""

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
        return EngineOptions(self.storage_conf, self.crio_conf, self.crio_internal_repair)


class SelinuxPolicy(OptionGroup, heading=Heading.LABELS):
    selinux_policy: str | None = option(
        TextType("base|DIR"),
        help="Label the new files by the SELinux policy of the operating system in --onto (base),"
        " or of the root file system in DIR. For trees without --onto, base is the policy of the"
        " first ROOT.",
    )


class LabelOptions(SelinuxPolicy):
    """SELinux labels of a store's files."""

    RULES = (
        demand(
            chosen("selinux_policy", "base"),
            "onto",
            error="--selinux-policy=base is only for --onto",
        ),
    )

    selinux_label: str | None = option(
        Context(), help="The SELinux label of all files of the store."
    )


class Signing(OptionGroup, heading=Heading.LABELS):
    RULES = (needs("gpg_homedir", "gpg_sign", error="--gpg-homedir needs --gpg-sign"),)

    gpg_sign: str | None = option(TextType("KEY"), help="Sign the commit with this GPG key.")
    gpg_homedir: str | None = option(TextType("DIR"), help="The directory of GPG's keyring.")
    sign_from_file: Path | None = option(
        PlaceType("FILE"), help="Sign the commit with the secret key in this file, in base64."
    )
    sign_type: str = option(
        TextType("TYPE"), default="ed25519", help="The kind of the key in --sign-from-file."
    )

    @property
    def keys(self) -> tuple[GpgKey | KeyFile, ...]:
        keys: list[GpgKey | KeyFile] = []
        if self.gpg_sign is not None:
            keys.append(GpgKey(self.gpg_sign, self.gpg_homedir))
        if self.sign_from_file is not None:
            keys.append(KeyFile(self.sign_from_file, self.sign_type))
        return tuple(keys)
