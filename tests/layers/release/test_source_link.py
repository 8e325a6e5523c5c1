"""Where components were built from, and the pages that show what changed."""

import json

import pytest

from layers.oci.config import ImageConfig
from layers.release.source_link import commit_url, compare_url, labelled_source

OLD, NEW = "1" * 40, "2" * 40


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://github.com/openshift/etcd", "https://github.com/openshift/etcd/compare/"),
        ("https://github.com/openshift/etcd.git", "https://github.com/openshift/etcd/compare/"),
        ("https://gitlab.com/a/b/c", "https://gitlab.com/a/b/c/-/compare/"),
        ("https://github.com/a)[x](http://evil", ""),
        ("https://example.com/a/b", ""),
        ("git@github.com:a/b", ""),
        ("", ""),
    ],
)
def test_only_a_forge_that_is_known_is_linked(source: str, expected: str) -> None:
    assert compare_url(source, OLD, NEW) == (f"{expected}{OLD}...{NEW}" if expected else "")
    assert bool(commit_url(source, NEW)) is bool(expected)


def test_no_link_without_two_commits() -> None:
    source = "https://github.com/a/b"
    assert compare_url(source, OLD, OLD) == compare_url(source, "", NEW) == ""
    assert compare_url(source, "main", NEW) == commit_url(source, "v1") == ""


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"io.openshift.build.source-location": "https://github.com/a/b",
          "io.openshift.build.commit.id": OLD,
          "org.opencontainers.image.source": "https://github.com/other"},
         ("https://github.com/a/b", OLD)),
        ({"org.opencontainers.image.source": "https://github.com/a/b",
          "org.opencontainers.image.revision": NEW}, ("https://github.com/a/b", NEW)),
        ({"org.opencontainers.image.source": "https://github.com/a/b"},
         ("https://github.com/a/b", "")),
        ({"org.opencontainers.image.source": "a\nb", "org.opencontainers.image.revision": 7},
         ("", "")),
        ({"other": "x"}, ("", "")),
        (None, ("", "")),
    ],
)  # fmt: skip
def test_labels(labels: dict[str, str] | None, found: tuple[str, str]) -> None:
    raw = json.dumps({"config": {"Labels": labels}} if labels is not None else {}).encode()
    config = ImageConfig(raw, (), "", "amd64", "linux", "")
    assert labelled_source(config) == found
