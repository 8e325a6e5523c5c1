"""skopeo's proxy, spoken to as the importer does, and what is made of skopeo's words."""

import base64
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from importer.errors import FetchError, ImporterError
from importer.fetch import proxy as proxies
from importer.fetch.blobs import Blobs
from importer.fetch.complaint import fetch_error
from importer.fetch.credentials import Credentials
from importer.fetch.proxy import Proxy
from importer.fetch.skopeo import Skopeo
from importer.process import Server
from importer.progress import Silence
from layers import errors
from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import Descriptor
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import Blob, BuiltImage, build_index, build_oci
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

NOISE = b"".join(Digest.of(b"%d" % n).hex.encode() for n in range(30_000))
TRUSTING = Skopeo(tls_verify=False)
NAME = "host name does not resolve"


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")], [Entry(b"noise", content=NOISE)]])


@pytest.fixture
def source(registry: Registry, image: BuiltImage) -> str:
    return f"docker://{registry.push(image, 'skopeo:t')}"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy(TRUSTING)
    yield running
    running.close()


def wanted(blob: Blob) -> Descriptor:
    return Descriptor(blob.media_type, Digest.parse(blob.digest), blob.size)


def test_what_the_user_says_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we would have besides is for where they say nothing."""
    monkeypatch.setenv("SAID", "theirs")
    monkeypatch.delenv("UNSAID", raising=False)
    shown = 'import os, sys; sys.exit(os.environ["SAID"] + " " + os.environ["UNSAID"])'
    server = Server([sys.executable, "-c", shown], [], {"SAID": "ours", "UNSAID": "ours"})
    try:
        assert server.failure().stderr.split() == ["theirs", "ours"]
    finally:
        server.stop()


def test_no_temporary_directory_is_needed(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full there is none, and no traceback may say so."""
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent/tmp")
    assert TRUSTING.inspect_raw(source)
    Proxy(TRUSTING).close()
    with pytest.raises(ImporterError, match="unknown"):
        TRUSTING.inspect_raw(source + "-not")


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
    assert str(proxy.platform_digest(f"oci:{image.directory}:t")) == image.digest
    proxy.close()


# -- the proxy --


def test_manifests_come_in_their_original_bytes(registry: Registry, layout: Path) -> None:
    for docker in (False, True):
        built = build_oci(layout, f"{docker}", [[Entry(b"a")]], docker=docker)
        source = f"docker://{registry.push(built, f'skopeo-raw:{docker}')}"
        assert TRUSTING.inspect_raw(source) == built.read(built.manifest)


def test_blobs_one_after_the_other(proxy: Proxy, source: str, image: BuiltImage) -> None:
    for blob in [*image.layers, image.config, *image.layers]:
        assert b"".join(proxy.blob(source, wanted(blob))) == image.read(blob)
    assert not proxy.closed


def test_the_platform_of_an_index(
    registry: Registry, proxy: Proxy, layout: Path, image: BuiltImage
) -> None:
    other = build_oci(layout, "arm", [[Entry(b"b")]], architecture="arm64")
    index = build_index(layout, "ix", [image, other])
    source = f"docker://{registry.push(index, 'skopeo-index:t')}"
    for arch, chosen in (("amd64", image), ("arm64", other)):
        asked = Proxy(Skopeo(tls_verify=False, arch=arch))
        assert str(asked.platform_digest(source)) == chosen.digest
        asked.close()


def test_what_the_transport_has_of_the_layers(proxy: Proxy, source: str, image: BuiltImage) -> None:
    assert proxy.layers(source) == tuple(map(wanted, image.layers))


def test_a_proxy_is_used_again_after_a_whole_blob_only(
    registry: Registry, source: str, image: BuiltImage
) -> None:
    with Blobs(TRUSTING, Silence()) as blobs:
        first = blobs.stream(source, wanted(image.layers[1]))
        next(first)
        first.close()
        assert blobs.read(source, wanted(image.config)) == image.read(image.config)
        assert b"".join(blobs.stream(source, wanted(image.layers[1]))) == image.read(
            image.layers[1]
        )


def test_several_blobs_at_once(source: str, image: BuiltImage) -> None:
    with Blobs(TRUSTING, Silence()) as blobs:
        streams = [blobs.stream(source, wanted(blob)) for blob in (*image.layers, image.config)]
        heads = [next(stream) for stream in streams]
        whole = [head + b"".join(rest) for head, rest in zip(heads, streams, strict=True)]
        assert whole == [image.read(blob) for blob in (*image.layers, image.config)]
        assert blobs.fetched_bytes == sum(map(len, whole))


def test_a_document_that_is_too_large_is_not_read(source: str, image: BuiltImage) -> None:
    huge = Descriptor("x", Digest.parse(image.config.digest), 5 << 20)
    with Blobs(TRUSTING, Silence()) as blobs, pytest.raises(LayerError, match="5242880 bytes"):
        blobs.read(source, huge)


def test_a_wrong_size_is_found(source: str, image: BuiltImage) -> None:
    blob = image.layers[1]
    for size in (blob.size - 1, blob.size + 1):
        descriptor = Descriptor(blob.media_type, Digest.parse(blob.digest), size)
        with Blobs(TRUSTING, Silence()) as blobs, pytest.raises(errors.Fault) as caught:
            b"".join(blobs.stream(source, descriptor))
        assert caught.value.digest == blob.digest
        assert "the registry" in caught.value.advice


@pytest.mark.parametrize("after", [0, 10, 500_000])
def test_a_blob_that_breaks_off_ends_and_names_itself(
    registry: Registry, image: BuiltImage, source: str, after: int
) -> None:
    """Not a wait for ever: skopeo's pipe has to end when the registry does."""
    blob = image.layers[1]
    with FaultyProxy(registry.url) as faulty:
        faulty.add(Fault(blob.digest, "cut", after))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        with Blobs(TRUSTING, Silence()) as blobs, pytest.raises((FetchError, LayerError)) as caught:
            b"".join(blobs.stream(through, wanted(blob)))
    assert caught.value.digest == blob.digest


def test_closing_ends_a_read_that_stalls(
    registry: Registry, image: BuiltImage, source: str
) -> None:
    blob = image.layers[1]
    with FaultyProxy(registry.url) as faulty:
        faulty.add(Fault(blob.digest, "stall", 100_000))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        with Blobs(TRUSTING, Silence()) as blobs:
            stream = blobs.stream(through, wanted(blob))
            next(stream)
            blobs.close()
            with pytest.raises((FetchError, LayerError)):
                b"".join(stream)


def test_after_closing_nothing_is_fetched(source: str, image: BuiltImage) -> None:
    blobs = Blobs(TRUSTING, Silence())
    blobs.close()
    with pytest.raises(ImporterError):
        b"".join(blobs.stream(source, wanted(image.layers[1])))


def open_files() -> set[tuple[str, Path]]:
    """Each descriptor with what it is of; a pipe's or socket's name is its own."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which they are listed
            found.add((link.name, link.readlink()))
    return found


def test_descriptors_are_not_lost(source: str, image: BuiltImage) -> None:
    """Of sockets, pipes and standard errors. What others had open, they may close meanwhile."""
    before = open_files()
    for _ in range(3):
        with Blobs(TRUSTING, Silence()) as blobs:
            blobs.read(source, wanted(image.config))
            stream = blobs.stream(source, wanted(image.layers[1]))
            next(stream)
            stream.close()
    assert open_files() - before == set()


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
        Proxy(Skopeo())


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
    ("room", "says"), [(proxies._MESSAGE_SIZE, "unknown: x"), (40_000, "longer than")]
)
def test_a_registry_of_many_words(
    registry: Registry, image: BuiltImage, monkeypatch: pytest.MonkeyPatch, room: int, says: str
) -> None:
    """More of them than skopeo has in one message as a rule."""
    monkeypatch.setattr(proxies, "_MESSAGE_SIZE", room)
    error = {"code": "UNKNOWN", "message": "x\x1b" * 10_000}
    with FaultyProxy(registry.url) as between, Blobs(TRUSTING, Silence()) as blobs:
        between.add(Fault("/blobs/", 400, body=json.dumps({"errors": [error]}).encode()))
        source = f"docker://{between.through(registry.push(image, 'words:t'))}"
        with pytest.raises(FetchError, match=says) as caught:
            blobs.read(source, wanted(image.config))
    assert len(str(caught.value)) < 1500
