"""Sign commits. Signatures lie beside a commit, whose checksum stays."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from importer.commit.target import GpgKey, KeyFile
from importer.errors import ImporterError
from importer.files.scratch import scratch
from importer.process import CommandError, run
from importer.repo.libostree import Gio, GLib, OSTree, faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from importer.repo.writer import Repo

_KEYS = "`gpg --list-secret-keys` lists the keys; --gpg-homedir names their directory"
# What libostree says, and what to do about it.
_HINTS = {
    "No gpg key found": _KEYS,
    "8 characters": _KEYS,
    "not implemented": "ostree is built without it here, as Debian's is; Fedora's has ed25519",
}
_MOST_BYTES = 1 << 20
_TRIAL = b"import-image: can this key sign?"
_FORM = "it has a secret key in base64 a line, as for `ostree commit --sign-from-file`"


def sign(repo: Repo, checksum: str, keys: Iterable[GpgKey | KeyFile]) -> None:
    """Sign with each key with which the commit is not signed yet."""
    for key in keys:
        if isinstance(key, GpgKey):
            _sign_by_gpg(repo, checksum, key)
        else:
            for secret in _secrets(key):
                with _advising(f"signing by {key.kind}"):
                    _sign_by_secret(repo, checksum, _signer(key.kind, secret))


def check_keys(repo: Repo, keys: Iterable[GpgKey | KeyFile]) -> None:
    """Raise ImporterError if a key cannot sign, before there is work to sign.

    libostree cannot be asked for that, so each key signs a few bytes that are thrown away.
    """
    for key in keys:
        if isinstance(key, GpgKey):
            with _advising(f"signing with key {key.key}"):
                trial = GLib.Bytes.new(_TRIAL)
                repo.handle.gpg_sign_data(trial, None, [key.key], key.homedir, None)
        else:
            for secret in _secrets(key):
                with _advising(f"signing by {key.kind}"):
                    _signer(key.kind, secret).data(GLib.Bytes.new(_TRIAL), None)


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
        if not public or not _is_signed_by_gpg(repo, checksum, keyring):
            with _advising(f"signing with key {key.key}"):
                repo.handle.sign_commit(checksum, key.key, key.homedir, None)


def _is_signed_by_gpg(repo: Repo, checksum: str, keyring: Path) -> bool:
    """Return whether the commit has a valid signature by a key of this keyring file."""
    keys = Gio.File.new_for_path(str(keyring))
    try:
        result = repo.handle.verify_commit_ext(checksum, None, keys, None)
    except GLib.Error as error:
        if error.matches(OSTree.gpg_error_quark(), OSTree.GpgError.NO_SIGNATURE):
            return False
        with faults("looking at the commit's signatures"):
            raise
    return bool(result.count_valid())


def _signer(kind: str, secret: str) -> OSTree.Sign:
    """Return one of libostree's kinds of signature, with a secret key in base64."""
    signer = OSTree.Sign.get_by_name(kind)
    signer.set_sk(GLib.Variant("s", secret))
    return signer


def _sign_by_secret(repo: Repo, checksum: str, signer: OSTree.Sign) -> None:
    """Add the signer's signature, unless the commit has just this one; ed25519 gives the same
    signature each time."""
    _, data = repo.handle.load_variant(OSTree.ObjectType.COMMIT, checksum)
    _, signature = signer.data(data.get_data_as_bytes(), None)
    _, detached = repo.handle.read_commit_detached_metadata(checksum, None)
    kind = GLib.VariantType.new(signer.metadata_format())
    present = detached.lookup_value(signer.metadata_key(), kind) if detached else None
    if present is None or bytes(signature.get_data()) not in map(bytes, present.unpack()):
        signer.commit(repo.handle, checksum, None)


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
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ImporterError(f"key file {key.path} cannot be read: {why}", hint=_FORM) from None
    if not lines:
        raise ImporterError(f"key file {key.path} has no key", hint=_FORM)
    return lines


@contextmanager
def _advising(doing: str) -> Iterator[None]:
    """Turn libostree's errors into ImporterErrors with a hint."""
    try:
        with faults(doing):
            yield
    except ImporterError as error:
        if error.message.endswith("GPGME: Invalid value"):  # gpgme keylist.c, `gpgme_get_key`
            error.message = f"{doing}: gpg looks up keys by 8 characters or more"
        hints = (hint for said, hint in _HINTS.items() if said in str(error))
        raise error.within(hint=next(hints, "")) from None
