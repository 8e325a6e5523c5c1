"""Options on SELinux labels and on signatures of commits."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import Heading, OptionGroup, option, options
from importer.cli.options.rules import chosen, demand, needs
from importer.cli.options.types import Context, PlaceType, TextType
from importer.commit.target import GpgKey, KeyFile


@options
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
        "--selinux-label", type=Context(), help="The SELinux label of all files of the store."
    )
    selinux_policy: str | None = option(
        "--selinux-policy",
        metavar="base|DIR",
        type=TextType(),
        help="Label the new files by the SELinux policy of the operating system in --onto (base),"
        " or of the root file system in DIR.",
    )


@options
class Signing(OptionGroup):
    """Signatures of the commits."""

    HEADING = Heading.LABELS
    RULES = (needs("gpg_homedir", "gpg_sign", error="--gpg-homedir needs --gpg-sign"),)

    gpg_sign: str | None = option(
        "--gpg-sign", metavar="KEY", type=TextType(), help="Sign the commit with this GPG key."
    )
    gpg_homedir: str | None = option(
        "--gpg-homedir", metavar="DIR", type=TextType(), help="The directory of GPG's keyring."
    )
    sign_from_file: Path | None = option(
        "--sign-from-file",
        metavar="FILE",
        type=PlaceType(),
        help="Sign the commit with the secret key in this file, in base64.",
    )
    sign_type: str = option(
        "--sign-type",
        metavar="TYPE",
        type=TextType(),
        default="ed25519",
        help="The kind of the key in --sign-from-file.",
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
