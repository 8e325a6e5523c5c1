"""Signatures of a commit, as libostree makes and checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.repo.libostree import Gio, GLib, OSTree, faults

if TYPE_CHECKING:
    from pathlib import Path

    from importer.repo.reader import RepoReader

_TRIAL = b"import-image: can this key sign?"


def sign_by_gpg(repo: RepoReader, checksum: str, key: str, homedir: str | None) -> None:
    """Add a GPG signature; it lies beside the commit, whose checksum stays."""
    with faults(f"signing with key {key}"):
        repo.handle.sign_commit(checksum, key, homedir, None)


def try_gpg(repo: RepoReader, key: str, homedir: str | None) -> None:
    """Sign a few bytes as a commit would be signed, and keep nothing of it."""
    with faults(f"signing with key {key}"):
        repo.handle.gpg_sign_data(GLib.Bytes.new(_TRIAL), None, [key], homedir, None)


def is_signed_by_gpg(repo: RepoReader, checksum: str, keyring: Path) -> bool:
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


def try_kind(kind: str, secret: str) -> None:
    """Sign a trial text by one of libostree's kinds of signature, with a secret key in base64.

    Raise ImporterError if that fails.
    """
    with faults(f"signing by {kind}"):
        _signer(kind, secret).data(GLib.Bytes.new(_TRIAL), None)


def sign_by_kind(repo: RepoReader, checksum: str, kind: str, secret: str) -> None:
    """Add a signature of this kind to the commit, unless the commit has it."""
    with faults(f"signing by {kind}"):
        signer = _signer(kind, secret)
        if not _is_signed(repo, checksum, signer):
            signer.commit(repo.handle, checksum, None)


def _signer(kind: str, secret: str) -> OSTree.Sign:
    signer = OSTree.Sign.get_by_name(kind)
    signer.set_sk(GLib.Variant("s", secret))
    return signer


def _is_signed(repo: RepoReader, checksum: str, signer: OSTree.Sign) -> bool:
    """Return whether just this signature is there; ed25519 gives the same one each time."""
    _, data = repo.handle.load_variant(OSTree.ObjectType.COMMIT, checksum)
    _, signature = signer.data(data.get_data_as_bytes(), None)
    _, detached = repo.handle.read_commit_detached_metadata(checksum, None)
    kind = GLib.VariantType.new(signer.metadata_format())
    present = detached.lookup_value(signer.metadata_key(), kind) if detached else None
    made = bytes(signature.get_data())
    return present is not None and any(bytes(one) == made for one in present.unpack())
