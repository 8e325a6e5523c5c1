"""skopeo's proxy, spoken to as the importer does, and what is made of skopeo's words."""

import base64
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from importer.errors import FetchError, ImporterError
from importer.fetch import connection
from importer.fetch.blobs import Blobs
from importer.fetch.complaint import fetch_error
from importer.fetch.connection import ProxyConnection
from importer.fetch.proxy import Proxy
from importer.fetch.skopeo import Credentials, Skopeo
from importer.progress import Silence
from tests.fetch.conftest import TRUSTING, wanted
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

NAME = "host name does not resolve"


def test_no_temporary_directory_is_needed(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full there is none, and no traceback may say so."""
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent/tmp")
    assert TRUSTING.inspect_raw(source)
    ProxyConnection(TRUSTING).close()
    with pytest.raises(ImporterError, match="unknown"):
        TRUSTING.inspect_raw(source + "-not")


def test_manifests_come_in_their_original_bytes(registry: Registry, layout: Path) -> None:
    for docker in (False, True):
        built = build_oci(layout, f"{docker}", [[Entry(b"a")]], docker=docker)
        source = f"docker://{registry.push(built, f'skopeo-raw:{docker}')}"
        assert TRUSTING.inspect_raw(source) == built.read(built.manifest)


# -- the command line --


def test_argv_says_only_what_was_asked_for() -> None:
    with Skopeo().command("inspect", "--raw", "x") as (argv, descriptors):
        assert argv == ["skopeo", "inspect", "--raw", "x"]
        assert descriptors == ()


def test_argv_puts_each_option_where_skopeo_wants_it() -> None:
    everything = Skopeo(
        "auth", None, "certs", True, "policy", True, "arm64", "linux", "v8", retry_times=3
    )
    with everything.command("inspect", "x") as (argv, _):
        assert argv == [
            "skopeo",
            "--insecure-policy",
            "--policy=policy",
            "--override-arch=arm64",
            "--override-os=linux",
            "--override-variant=v8",
            "inspect",
            "--authfile=auth",
            "--cert-dir=certs",
            "--tls-verify=true",
            "x",
        ]
    with Skopeo(tls_verify=False).command("inspect", "x") as (argv, _):
        assert "--tls-verify=false" in argv


def test_credentials_are_in_no_argument() -> None:
    """Whoever may call ps could read them there; an unnamed file of our own has them instead."""
    creds = Credentials("r.example.org:5000", "me:se:cret")
    assert "cret" not in repr(creds)
    with Skopeo("theirs", creds).command("inspect", "x") as (argv, (descriptor,)):
        assert argv == ["skopeo", "inspect", f"--authfile=/proc/self/fd/{descriptor}", "x"]
        auth = json.loads(Path(f"/proc/self/fd/{descriptor}").read_bytes())
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        assert os.fstat(descriptor).st_nlink == 0
    expected = {"auth": base64.b64encode(b"me:se:cret").decode()}
    assert auth == {"auths": {"r.example.org:5000": expected}}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_skopeo_knows_all_these_options(image: BuiltImage, tmp_path: Path) -> None:
    auth = tmp_path / "auth.json"
    auth.write_text("{}")
    every = Skopeo(str(auth), None, str(tmp_path), True, None, True, "amd64", "linux", "v1")
    assert every.inspect_raw(f"oci:{image.directory}:t") == image.read(image.manifest)
    proxy = Proxy(every)
    assert str(proxy.manifest(f"oci:{image.directory}:t")[0]) == image.digest
    proxy.close()


def test_a_skopeo_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ImporterError, match="skopeo is not installed") as caught:
        Skopeo().inspect_raw("docker://example.org/a:b")
    assert "package" in caught.value.hint


def test_something_else_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "skopeo"
    fake.write_text("#!/bin/sh\necho 'unknown command: experimental-image-proxy' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(FetchError, match="unknown command"):
        ProxyConnection(Skopeo())


# -- its words --


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('time="x" level=fatal msg="a: manifest unknown"', "list-tags"),
        ('level=warning msg="x"\nlevel=fatal msg="dial tcp: lookup h: no such host"', "host name"),
        ("x509: certificate signed by unknown authority", "--cert-dir"),
        ("http: server gave HTTP response to HTTPS client", "--tls-verify=false"),
        ("requested access to the resource is denied", "--authfile"),
        ("unauthorized: authentication required", "--creds"),
        ("lstat /nobody/.config/containers/registries.conf.d: permission denied", "HOME"),
        ("Source image rejected: Running image x is rejected by policy.", "--insecure-policy"),
        ('no image found in image index for architecture "s390x"', "--arch"),
        # skopeo 1.18, and 1.22
        ("corrupted blob, expecting sha256:ab", "changed it"),
        ("Manifest does not match provided manifest digest sha256:ab", "changed it"),
        ("Image manifest does not match selected manifest digest sha256:ab", "changed it"),
        ("blob digest sha256:cd does not match expected sha256:ab", "changed it"),
        ("registry example.org is blocked in /etc/containers/registries.conf", "registries.conf"),
        ('loading registries configuration "x": toml: line 1: expected', "registries.conf"),
        ("Unexpected tar manifest.json: expected 1 item, got 2", "FILE:NAME:TAG"),
    ],
)
def test_what_asking_again_does_not_help_against(said: str, hint: str) -> None:
    error = fetch_error("docker://example.org/a:b", said)
    assert not isinstance(error, FetchError)
    assert hint in error.advice
    assert "level=" not in str(error)
    assert str(error).startswith("docker://example.org/a:b: ")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("dial tcp 127.0.0.1:1: connect: connection refused", "is the registry up?"),
        ("dial tcp: lookup h on 10.0.0.1:53: read udp 10.0.0.2:4->10.0.0.1:53: i/o timeout", NAME),
        ("dial tcp: lookup h on [::1]:53: read udp: read: connection refused", NAME),
        ("dial tcp: lookup h on 10.0.0.1:53: server misbehaving", NAME),
        ("received unexpected HTTP status: 503 Service Unavailable", "--retry-times"),
        ("unexpected EOF", "--retry-times"),
        ("", "--retry-times"),
    ],
)
def test_what_it_may_help_against(said: str, hint: str) -> None:
    error = fetch_error("docker://example.org/a:b", said)
    assert isinstance(error, FetchError)
    assert hint in error.advice


@pytest.mark.parametrize(
    ("code", "again"), [("retryable", True), ("other", False), ("EPIPE", False), ("", False)]
)
def test_the_proxys_code_says_whether_asking_again_may_help(code: str, again: bool) -> None:
    error = fetch_error("docker://example.org/a:b", "blob unknown to registry", code)
    assert isinstance(error, FetchError) == again
    assert "the registry lacks" in error.advice
    # A connection that was cut has the code "other" as well.
    assert isinstance(fetch_error("docker://example.org/a:b", "unexpected EOF", code), FetchError)


def test_an_images_name_is_no_sign() -> None:
    source = "docker://example.org/denied/x509:unauthorized"
    assert isinstance(fetch_error(source, f"reading {source}: unexpected EOF"), FetchError)


def test_its_words_are_one_line() -> None:
    said = 'level=fatal msg="first\\nsecond \\"third\\" \\t é"'
    assert str(fetch_error("dir:x", said)) == 'dir:x: first second "third" é'
    assert len(str(fetch_error("dir:x", "word " * 1000))) < 1100


def test_its_words_are_quoted_as_go_does() -> None:
    """A registry's own words are among them: no byte of those may be a traceback."""
    said = r'level=fatal msg="\x1b[31m \a\v \xff \U0001f600 \u200b \\ \"denied\" \q"'
    error = fetch_error("dir:x", said)
    assert str(error) == 'dir:x: \\x1b[31m \xff \U0001f600 \\u200b \\ "denied" q'
    assert "skopeo login" in error.advice


@pytest.mark.parametrize(
    ("room", "says"), [(connection._MESSAGE_SIZE, "unknown: x"), (40_000, "longer than")]
)
def test_a_registry_of_many_words(
    registry: Registry, image: BuiltImage, monkeypatch: pytest.MonkeyPatch, room: int, says: str
) -> None:
    """More of them than skopeo has in one message as a rule."""
    monkeypatch.setattr(connection, "_MESSAGE_SIZE", room)
    error = {"code": "UNKNOWN", "message": "x\x1b" * 10_000}
    with FaultyProxy(registry.url) as between, Blobs(TRUSTING, Silence()) as blobs:
        between.add(Fault("/blobs/", 400, body=json.dumps({"errors": [error]}).encode()))
        source = f"docker://{between.through(registry.push(image, 'words:t'))}"
        with pytest.raises(FetchError, match=says) as caught:
            blobs.read(source, wanted(image.config))
    assert len(str(caught.value)) < 1500
