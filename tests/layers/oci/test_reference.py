"""What the user calls an image: the grammar of distribution/reference, and skopeo's transports."""

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.reference import ImageName, Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("example.org/a", "example.org/a", "latest", ""),
        ("example.org/a:b", "example.org/a", "b", ""),
        ("example.org:5000/a/b/c:d", "example.org:5000/a/b/c", "d", ""),
        ("localhost/a", "localhost/a", "latest", ""),
        ("127.0.0.1:5000/a:t", "127.0.0.1:5000/a", "t", ""),
        ("[::1]:5000/a:t", "[::1]:5000/a", "t", ""),
        (f"example.org/a@{DIGEST}", "example.org/a", "", DIGEST),
        (f"example.org/a:b@{DIGEST}", "example.org/a", "b", DIGEST),
        ("example.org/a__b/c-d.e/f--g:T.1_-x", "example.org/a__b/c-d.e/f--g", "T.1_-x", ""),
        ("EXAMPLE.org/a:b", "EXAMPLE.org/a", "b", ""),
    ],
)
def test_names_that_are(text: str, repository: str, tag: str, digest: str) -> None:
    name = ImageName.parse(text)
    assert (name.repository, name.tag) == (repository, tag)
    assert str(name.digest or "") == digest
    assert ImageName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org/",
        "example.org/A",
        "example.org/a:",
        "example.org/a@",
        "example.org/a:b:c",
        "example.org/a b",
        "example.org/a:-b",
        "example.org/-a",
        "example.org/a..b",
        "example.org/a___b",
        "example.org//a",
        "example.org/a:" + "t" * 129,
        "example.org/a\n",
        "example.org/a:t\n",
        "example.org/" + "a/" * 260 + "a",
        f"example.org/a@{DIGEST.upper()}",
        f"example.org/a@{DIGEST}0",
        "example.org/é",
        "exa_mple.org/a",
        "-example.org/a",
    ],
)
def test_names_that_are_not(text: str) -> None:
    with pytest.raises(LayerError) as caught:
        ImageName.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("user/image:1", "docker.io/user/image:1"),
        (f"user/image@{DIGEST}", f"docker.io/user/image@{DIGEST}"),
    ],
)
def test_unqualified_names_are_refused_with_the_full_one(text: str, full: str) -> None:
    with pytest.raises(LayerError) as caught:
        Reference.parse(text)
    assert full in caught.value.hint


@pytest.mark.parametrize(
    ("text", "transport", "source", "name"),
    [
        ("example.org/a:b", "docker", "docker://example.org/a:b", "example.org/a:b"),
        ("docker://x.org/a", "docker", "docker://x.org/a:latest", "x.org/a:latest"),
        # skopeo refuses a tag beside a digest.
        (f"x.org/a:b@{DIGEST}", "docker", f"docker://x.org/a@{DIGEST}", f"x.org/a:b@{DIGEST}"),
        ("oci:/some/dir:tag", "oci", "oci:/some/dir:tag", None),
        ("oci:relative", "oci", "oci:relative", None),
        ("dir:/some/dir", "dir", "dir:/some/dir", None),
        ("docker-archive:/x.tar", "docker-archive", "docker-archive:/x.tar", None),
        ("docker-archive:/x.tar:x.org/a:1", "docker-archive", "docker-archive:/x.tar:x.org/a:1",
         "x.org/a:1"),
        ("docker-archive:/x.tar:@0", "docker-archive", "docker-archive:/x.tar:@0", None),
        ("containers-storage:x.org/a:1", "containers-storage", "containers-storage:x.org/a:1",
         "x.org/a:1"),
        ("containers-storage:[overlay@/r+/run]x.org/a:1", "containers-storage",
         "containers-storage:[overlay@/r+/run]x.org/a:1", "x.org/a:1"),
        (f"containers-storage:@{HEX}", "containers-storage", f"containers-storage:@{HEX}", None),
        (f"containers-storage:{HEX}", "containers-storage", f"containers-storage:{HEX}", None),
    ],
)  # fmt: skip
def test_references(text: str, transport: str, source: str, name: str | None) -> None:
    reference = Reference.parse(text)
    assert (reference.transport, reference.source) == (transport, source)
    assert (str(reference.name) if reference.name else None) == name
    assert Reference.parse(str(reference)).source == source


@pytest.mark.parametrize("text", ["oci:", "dir:", "docker:", "docker://", "docker:example.org"])
def test_a_transport_alone_is_no_image(text: str) -> None:
    with pytest.raises(LayerError):
        Reference.parse(text)


def test_pinned_and_tagged() -> None:
    digest = Digest.parse(DIGEST)
    reference = Reference.parse("example.org/a:b")
    assert reference.pinned(digest) == f"docker://example.org/a@{DIGEST}"
    assert reference.tagged == "docker://example.org/a:b"
    assert Reference.parse(f"example.org/a@{DIGEST}").tagged == ""
    assert Reference.parse("oci:/d:t").pinned(digest) == "oci:/d:t"
