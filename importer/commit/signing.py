"""Sign commits. Signatures lie beside a commit, whose checksum stays."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from importer.commit.target import GpgKey, KeyFile
from importer.errors import ImporterError
from importer.files.scratch import scratch
from importer.process import CommandError, run
from importer.repo.signature import is_signed_by_gpg, sign_by_gpg, sign_by_kind, try_gpg, try_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.repo.writer import Repo

# What libostree says, and what to do about it.
_HINTS = {
    "No gpg key found": "`gpg --list-secret-keys` lists those there are; --gpg-homedir says where",
    "not implemented": "ostree is built without it here, as Debian's is; Fedora's has ed25519",
}
_MOST_BYTES = 1 << 20
_FORM = "it has a secret key in base64 a line, as for `ostree commit --sign-from-file`"


def sign(repo: Repo, checksum: str, keys: Iterable[GpgKey | KeyFile]) -> None:
    """Sign with each key with which the commit is not signed yet."""
    for key in keys:
        if isinstance(key, GpgKey):
            _sign_by_gpg(repo, checksum, key)
        else:
            for secret in _secrets(key):
                with _advising():
                    sign_by_kind(repo, checksum, key.kind, secret)


def check_keys(repo: Repo, keys: Iterable[GpgKey | KeyFile]) -> None:
    """Raise ImporterError if a key cannot sign, before there is work to sign.

    libostree cannot be asked for that, so each key signs a few bytes that are thrown away.
    """
    for key in keys:
        if isinstance(key, GpgKey):
            with _advising():
                try_gpg(repo, key.key, key.homedir)
        else:
            for secret in _secrets(key):
                with _advising():
                    try_kind(key.kind, secret)


def _sign_by_gpg(repo: Repo, checksum: str, key: GpgKey) -> None:
    """Sign with a GPG key, unless the commit has its signature.

    libostree adds a signature again if it does not know the key, and does not read the keyrings of
    today's GnuPG. So it is given the public key.
    """
    homedir = [f"--homedir={key.homedir}"] if key.homedir else []
    with scratch() as directory:
        keyring = directory / "keyring.gpg"
        public = b""
        with suppress(CommandError):  # a key that is not there is for libostree to report
            public = run(["gpg", "--batch", *homedir, "--export", "--", key.key])
        keyring.write_bytes(public)
        if not public or not is_signed_by_gpg(repo, checksum, keyring):
            with _advising():
                sign_by_gpg(repo, checksum, key.key, key.homedir)


@cache
def _secrets(key: KeyFile) -> list[str]:
    """Return the secret keys of a file, one a line in base64, as `ostree commit --sign-from-file`
    does.

    The file is read once: it may be a pipe.
    """
    try:
        with key.path.open("rb") as file:
            lines = file.read(_MOST_BYTES).decode("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ImporterError(f"key file {key.path} cannot be read: {error}", hint=_FORM) from None
    if not lines:
        raise ImporterError(f"key file {key.path} has no key", hint=_FORM)
    return lines


@contextmanager
def _advising() -> Iterator[None]:
    try:
        yield
    except ImporterError as error:
        hints = (hint for said, hint in _HINTS.items() if said in str(error))
        raise error.within(hint=next(hints, "")) from None
