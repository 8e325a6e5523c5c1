"""Signatures of a commit; they lie beside it, and its checksum stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.target import GpgKey, KeyFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo import Repo

_FORM = "it has a secret key in base64 a line, as for `ostree commit --sign-from-file`"


def sign(repo: Repo, checksum: str, keys: Iterable[GpgKey | KeyFile]) -> None:
    """Sign with each key with which the commit is not signed yet."""
    for key in keys:
        if isinstance(key, GpgKey):
            repo.sign_gpg(checksum, key.key, key.homedir)
        else:
            for secret in _secrets(key):
                _sign_by_kind(repo, checksum, key.kind, secret)


def _secrets(key: KeyFile) -> list[str]:
    """One secret key a line, in base64, as `ostree commit --sign-from-file` takes them."""
    try:
        lines = key.path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ImporterError(f"key file {key.path} cannot be read: {error}", hint=_FORM) from None
    if not lines:
        raise ImporterError(f"key file {key.path} has no key", hint=_FORM)
    return lines


def _sign_by_kind(repo: Repo, checksum: str, kind: str, secret: str) -> None:
    try:
        repo.sign(checksum, kind, secret)
    except ImporterError as error:
        hint = "ostree is built without it here, as Debian's is; Fedora's has ed25519"
        raise error.within(hint=hint if "not implemented" in str(error) else "") from None
