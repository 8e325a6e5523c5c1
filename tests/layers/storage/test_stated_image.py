"""What a commit says of an image, read out of a line of its body or a release's component."""

import pytest

from layers.digest import Digest
from layers.oci.reference import ImageName
from layers.storage.stated_image import StatedImage, stated_images

DIGEST = Digest.of(b"manifest")
OTHER = Digest.of(b"other")
REPOSITORY = "example.org/a/b"


@pytest.mark.parametrize(
    ("reference", "names", "is_among"),
    [
        (f"{REPOSITORY}:1", [f"{REPOSITORY}:1"], True),
        (f"{REPOSITORY}:1", ["example.org/x:1", f"{REPOSITORY}:1"], True),
        (
            f"{REPOSITORY}:1",
            [f"{REPOSITORY}:2", f"{REPOSITORY}@{DIGEST}", "example.org/b:1"],
            False,
        ),
        (f"{REPOSITORY}:1", [], False),
        (REPOSITORY, [f"{REPOSITORY}:latest"], True),
        (f"{REPOSITORY}@{DIGEST}", [f"{REPOSITORY}@{DIGEST}"], True),
        (f"{REPOSITORY}@{DIGEST}", [f"{REPOSITORY}@{OTHER}", f"{REPOSITORY}:1"], False),
        (f"{REPOSITORY}:1@{DIGEST}", [f"{REPOSITORY}@{DIGEST}"], True),
        (f"docker-archive:/a b:{REPOSITORY}:1", [f"{REPOSITORY}:1"], True),
        ("oci:/tmp/a b:t", [], True),
        (f"{REPOSITORY}:1", ["no name", "a" * 64], False),
    ],
)
def test_the_name_that_the_image_has_to_have(
    reference: str, names: list[str], is_among: bool
) -> None:
    (stated,) = stated_images([f"{reference} {DIGEST}"], {})
    assert (stated.reference, stated.digest) == (reference, DIGEST)
    assert stated.is_among(names) == is_among
    assert StatedImage.of(reference, str(DIGEST)) == stated


def test_a_given_name_counts_instead_of_the_references() -> None:
    for reference in ("oci:/tmp/t", f"{REPOSITORY}:1"):
        stated = StatedImage.of(reference, str(DIGEST), "example.org/given:1")
        assert stated == StatedImage(reference, DIGEST, ImageName("example.org/given", "1"))


def test_an_image_is_stated_once_for_each_given_name() -> None:
    lines = [f"oci:/a {DIGEST}", f"oci:/b {OTHER}", "no image"]
    found = stated_images(lines, {"oci:/a": ("example.org/x:1", "example.org/y:1"), "oci:/b": ()})
    assert list(found) == [
        StatedImage("oci:/a", DIGEST, ImageName("example.org/x", "1")),
        StatedImage("oci:/a", DIGEST, ImageName("example.org/y", "1")),
        StatedImage("oci:/b", OTHER, None),
    ]


@pytest.mark.parametrize("line", ["", "words", f"{REPOSITORY}:1", f"{DIGEST}", f"short {DIGEST}"])
def test_other_lines_say_nothing(line: str) -> None:
    assert list(stated_images([line], {})) == []


def test_a_component_that_was_never_resolved_says_nothing() -> None:
    assert StatedImage.of(f"{REPOSITORY}:1", "") is None
