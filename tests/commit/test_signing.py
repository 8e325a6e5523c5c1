"""Signed commits, verified by the repo that pulls them."""

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.tools.entry import Entry
from tests.tools.gpg import gpg, gpg_home, stop_agent
from tests.tools.httpserver import http_server
from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import init, ostree, refs
from tests.tools.process import Argument, CommandError, run
from tests.tools.registry import Registry
from tests.tools.storecommand import image_store

LAYER = [Entry(b"a", content=b"a\n")]
#: libostree takes the signature kind `dummy` only with it (ostree-sign-dummy.c).
DUMMY = {"OSTREE_DUMMY_SIGN_ENABLED": "1"}


@pytest.fixture
def reference(registry: Registry, layout: Path) -> str:
    """An image in the registry."""
    return registry.push(build_oci(layout, "t", [LAYER]), "signing/t")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A repo that can be served."""
    return init(tmp_path / "archive", "archive")


def pull(
    source: Path, dest: Path, branch: str, *flags: str, env: Mapping[str, str] | None = None
) -> None:
    """Pulls into a new bare-user repo, which verifies as the flags say."""
    init(dest)
    environment = {**os.environ, **(env or {})}
    with http_server(source) as url:
        add = ["ostree", "remote", "add", f"--repo={dest}", *flags, "tests", url]
        run(add, env=environment)
        run(["ostree", "pull", f"--repo={dest}", "tests", branch], env=environment)


def test_a_gpg_signature_is_verified_by_the_puller(
    archive: Path, tmp_path: Path, reference: str
) -> None:
    home, other = (gpg_home(tmp_path / name, name) for name in ("signer", "other"))
    try:
        flags = (f"--gpg-homedir={home}", "--gpg-sign=signer@example.com", "--branch=x")
        imported(archive, *flags, reference)
        for name, keyring in (("good", home), ("bad", other)):
            (tmp_path / f"{name}.asc").write_text(gpg(keyring, "--armor", "--export"))
        trusted = f"--gpg-import={tmp_path / 'good.asc'}"
        pull(archive, tmp_path / "dest", "x", "--set=gpg-verify=true", trusted)
        assert refs(tmp_path / "dest") == ["tests:x"]
        foreign = f"--gpg-import={tmp_path / 'bad.asc'}"
        with pytest.raises(CommandError, match="Can't check signature"):
            pull(archive, tmp_path / "refused", "x", "--set=gpg-verify=true", foreign)
    finally:
        stop_agent(home)
        stop_agent(other)


def test_what_is_there_unsigned_is_signed_once(
    archive: Path, tmp_path: Path, reference: str
) -> None:
    first = imported(archive, "--branch=x", reference)
    home = gpg_home(tmp_path / "signer", "signer")
    try:
        flags = (f"--gpg-homedir={home}", "--gpg-sign=signer@example.com", "--branch=x")
        for _ in range(2):
            again = imported(archive, *flags, reference)
            assert (again["commit"], again["unchanged"]) == (first["commit"], True)
        (tmp_path / "key.asc").write_text(gpg(home, "--armor", "--export"))
        keys = f"--gpg-import={tmp_path / 'key.asc'}"
        pull(archive, tmp_path / "dest", "x", "--set=gpg-verify=true", keys)
        listed = ostree(tmp_path / "dest", "show", "tests:x")
        assert listed.count("Signature made") == 1
    finally:
        stop_agent(home)


@pytest.mark.parametrize("command", ["import-image", "import-release"])
def test_a_key_that_is_not_there_is_found_before_anything_is_fetched(
    registry: Registry, archive: Path, tmp_path: Path, reference: str, command: str
) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    flags = (f"--gpg-homedir={tmp_path / 'empty'}", "--gpg-sign=nobody@example.com")
    before = files(archive)
    registry.requests()
    outcome = run_import(
        archive, *flags, "--tls-verify=false", "--branch=x", reference, command=command
    )
    assert outcome.status == 1
    (said,) = outcome.said("error")
    assert said.startswith("signing with key nobody@example.com: No gpg key found")
    assert "--list-secret-keys" in outcome.said("hint")[0]
    assert registry.requests() == []
    assert files(archive) == before


def test_a_keys_name_that_gpgme_does_not_look_up(archive: Path) -> None:
    """Its own words for a name of less than 8 characters are "Invalid value"."""
    outcome = run_import(archive, "--gpg-sign=nobody", "127.0.0.1:1/no/image:t")
    assert outcome.said("error") == [
        "signing with key nobody: gpg looks up keys by 8 characters or more"
    ]
    assert "--list-secret-keys" in outcome.said("hint")[0]


def test_a_key_that_cannot_sign_is_found_as_well(archive: Path, tmp_path: Path) -> None:
    """Nobody listens where the image should be: it is not asked for."""
    home, public = gpg_home(tmp_path / "signer", "signer"), tmp_path / "public"
    try:
        public.mkdir(mode=0o700)
        (tmp_path / "key.asc").write_text(gpg(home, "--armor", "--export"))
        gpg(public, "--import", str(tmp_path / "key.asc"))
        flags = (f"--gpg-homedir={public}", "--gpg-sign=signer@example.com", "--branch=x")
        outcome = run_import(archive, *flags, "127.0.0.1:1/no/image:t")
        assert outcome.status == 1
        (said,) = outcome.said("error")
        assert said.startswith("signing with key signer@example.com: ")
    finally:
        stop_agent(home)
        stop_agent(public)


def test_a_key_is_tried_and_nothing_of_that_is_left(archive: Path, tmp_path: Path) -> None:
    home = gpg_home(tmp_path / "signer", "signer")
    before = files(archive)
    try:
        flags = (f"--gpg-homedir={home}", "--gpg-sign=signer@example.com", "--branch=x")
        outcome = run_import(archive, *flags, "127.0.0.1:1/no/image:t")
        assert "connection refused" in outcome.stderr
        assert files(archive) == before
    finally:
        stop_agent(home)


def files(repo: Path) -> list[Path]:
    """All that is in the repo, but for its lock."""
    return sorted(path for path in repo.rglob("*") if path.name != ".lock")


def test_without_a_key_that_can_sign_no_image_is_removed_anywhere(
    archive: Path, tmp_path: Path, reference: str
) -> None:
    """Not even where a branch would be deleted, which takes no signature."""
    own = imported(archive, reference)["images"][0]["branch"]
    imported(archive, "--branch=x", reference)
    before = refs(archive)
    (tmp_path / "empty").mkdir(mode=0o700)
    flags = (f"--gpg-homedir={tmp_path / 'empty'}", "--gpg-sign=nobody@example.com")
    outcome = image_store(archive, "remove", "--branch=x", f"--branch={own}", *flags, reference)
    assert outcome.status == 1
    assert "No gpg key found" in outcome.stderr
    assert refs(archive) == before


def test_a_key_file_signs_by_libostrees_sign_api(
    archive: Path, tmp_path: Path, reference: str
) -> None:
    """By its dummy kind, which every libostree has."""
    (tmp_path / "key").write_text("c2VjcmV0\n")
    flags = (f"--sign-from-file={tmp_path / 'key'}", "--sign-type=dummy", "--branch=x")
    made = imported(archive, *flags, reference, env=DUMMY)
    again = imported(archive, *flags, reference, env=DUMMY)
    assert (again["commit"], again["unchanged"]) == (made["commit"], True)
    detached = ostree(archive, "show", "--print-detached-metadata-key=ostree.sign.dummy", "x")
    assert detached.count("byte") == 1
    verify = ("--no-gpg-verify", "--sign-verify=dummy=inline:c2VjcmV0")
    pull(archive, tmp_path / "dest", "x", *verify, env=DUMMY)
    other = ("--no-gpg-verify", "--sign-verify=dummy=inline:b3RoZXI=")
    with pytest.raises(CommandError, match="signature"):
        pull(archive, tmp_path / "refused", "x", *other, env=DUMMY)


def test_a_key_file_that_is_a_pipe_signs_several_commits(
    registry: Registry, archive: Path, layout: Path, reference: str
) -> None:
    other = registry.push(build_oci(layout, "o", [LAYER, LAYER]), "signing/o")
    wrapper = ["bash", "-c", 'exec "$0" "$@" --sign-from-file=<(echo c2VjcmV0)']
    arguments = ("--sign-type=dummy", reference, other)
    document = imported(archive, *arguments, env=DUMMY, wrapper=wrapper)
    for image in document["images"]:
        ostree(archive, "show", "--print-detached-metadata-key=ostree.sign.dummy", image["branch"])


def ed25519_keys(where: Path) -> tuple[Path, str]:
    """A file with the secret key as libostree takes it, seed and public key; the public key."""
    run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", where / "pem"])
    ends = []
    for flags in ([], ["-pubout"]):
        argv: list[Argument] = ["openssl", "pkey", "-in", where / "pem", *flags, "-outform", "DER"]
        # RFC 8410: both forms end in the 32 bytes.
        ends.append(subprocess.run(argv, check=True, capture_output=True).stdout[-32:])
    (where / "secret").write_text(base64.b64encode(ends[0] + ends[1]).decode() + "\n")
    return where / "secret", base64.b64encode(ends[1]).decode()


def test_an_ed25519_signature_is_verified_by_the_puller(
    registry: Registry, archive: Path, tmp_path: Path, reference: str
) -> None:
    """Debian's libostree is built without ed25519: there the error has to say so."""
    secret, public = ed25519_keys(tmp_path)
    flags = (f"--sign-from-file={secret}", "--branch=x")
    registry.requests()
    outcome = run_import(archive, *flags, reference)
    if outcome.status == 1:
        assert registry.requests() == []
        assert "Requested signature type is not implemented" in outcome.stderr
        assert "ostree is built without it" in outcome.stderr
        assert refs(archive) == []
        return
    verify = ("--no-gpg-verify", f"--sign-verify=ed25519=inline:{public}")
    pull(archive, tmp_path / "dest", "x", *verify)
    (tmp_path / "more").mkdir()
    _, other = ed25519_keys(tmp_path / "more")
    foreign = f"--sign-verify=ed25519=inline:{other}"
    with pytest.raises(CommandError, match="signature"):
        pull(archive, tmp_path / "refused", "x", "--no-gpg-verify", foreign)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_key_file_that_cannot_be_used_is_an_error(
    archive: Path, tmp_path: Path, content: bytes | None
) -> None:
    """Nobody listens where the image should be: it is not asked for."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    flags = (f"--sign-from-file={tmp_path / 'key'}", "--branch=x")
    outcome = run_import(archive, *flags, "127.0.0.1:1/no/image:t")
    assert outcome.status == 1
    assert f"key file {tmp_path / 'key'}" in outcome.stderr
    assert "x" not in refs(archive)
