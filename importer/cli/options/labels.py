"""Options on SELinux labels and on signatures of commits."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import Heading, OptionGroup, option
from importer.cli.options.rules import chosen, demand, needs
from importer.cli.options.types import Context, PlaceType, TextType
from importer.commit.target import GpgKey, KeyFile


class LabelOptions(OptionGroup):
    """SELinux labels of the files."""

    HEADING = Heading.LABELS
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
    selinux_policy: str | None = option(
        TextType("base|DIR"),
        help="Label the new files by the SELinux policy of the operating system in --onto (base),"
        " or of the root file system in DIR.",
    )


class Signing(OptionGroup):
    """Signatures of the commits."""

    HEADING = Heading.LABELS
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
        """Return the keys to sign with, none without signing options."""
        keys: list[GpgKey | KeyFile] = []
        if self.gpg_sign is not None:
            keys.append(GpgKey(self.gpg_sign, self.gpg_homedir))
        if self.sign_from_file is not None:
            keys.append(KeyFile(self.sign_from_file, self.sign_type))
        return tuple(keys)
