"""Make the keys to sign a commit with out of their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.target import GpgKey, KeyFile

if TYPE_CHECKING:
    from importer.cli.options.labels import Signing


def signing(given: Signing) -> tuple[GpgKey | KeyFile, ...]:
    """Return the keys to sign with, none without signing options."""
    keys: list[GpgKey | KeyFile] = []
    if given.gpg_sign is not None:
        keys.append(GpgKey(given.gpg_sign, given.gpg_homedir))
    if given.sign_from_file is not None:
        keys.append(KeyFile(given.sign_from_file, given.sign_type))
    return tuple(keys)
