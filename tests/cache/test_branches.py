"""Branch names: what ostree takes, no two images alike, none in another's way."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.cache.branches import image_branch, layer_branch, record_branch, why_no_branch
from layers.errors import LayerError
from layers.oci.reference import Reference
from tests.tools import ostreerepo
from tests.tools.fuzz import examples

DIGEST = "sha256:" + "0123456789abcdef" * 4
REFERENCES = [
    "example.org/a",
    "example.org/a:b",
    "example.org/a/b",
    "example.org/a/b:c",
    "example.org/a/latest",
    "example.org:5000/a",
    "example.org/a_b",
    "example.org/a__b",
    "example.org/a-b",
    "example.org/a.b",
    f"example.org/a@{DIGEST}",
    f"example.org/a:b@{DIGEST}",
    "[::1]:5000/a:b",
    "oci:/a",
    "oci:/a:b",
    "oci:/a/b",
    "oci:a",
    "dir:/a",
    "dir:/a/.hidden/-x",
    "dir:/é ü",
    "docker-archive:/x.tar:example.org/a:b",
    "containers-storage:example.org/a:b",
    "containers-storage:[overlay@/x+/run]example.org/a:b",
]
BRANCHES = [image_branch(Reference.parse(text)) for text in REFERENCES]


def test_no_two_references_have_one_branch() -> None:
    assert len(set(BRANCHES)) == len(REFERENCES)


def test_no_branch_is_the_directory_of_another() -> None:
    for one, other in itertools.permutations(BRANCHES, 2):
        assert not other.startswith(one + "/")


def test_ostree_takes_them_all_in_one_repo(tmp_path: Path, repo: Path) -> None:
    (tmp_path / "tree").mkdir()
    commit = ostreerepo.commit(repo, "first", tmp_path / "tree")
    for branch in [*BRANCHES, layer_branch("0" * 64), record_branch("0" * 64)]:
        ostreerepo.ostree(repo, "refs", f"--create={branch}", commit)
    assert set(BRANCHES) < set(ostreerepo.refs(repo))


def test_some_names_as_people_see_them() -> None:
    assert image_branch(Reference.parse("quay.io/a/b:1.2")) == "oci/image/quay.io/a/b_3A_1.2"
    by_digest = image_branch(Reference.parse(f"quay.io/a/b_c@{DIGEST}"))
    assert by_digest == f"oci/image/quay.io/a/b__c_40_sha256_3A_{DIGEST[7:]}"
    assert image_branch(Reference.parse("oci:/d:t")) == "oci/image/oci_3A__2F_d_3A_t"


def test_a_reference_that_is_too_long() -> None:
    with pytest.raises(LayerError) as caught:
        image_branch(Reference.parse("oci:/" + "x" * 260))
    assert "--branch" in caught.value.hint


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@examples(100)
@given(TEXT, TEXT)
def test_escaping_loses_nothing(first: str, second: str) -> None:
    one, other = (image_branch(Reference("dir", name, None)) for name in (first, second))
    assert (one == other) == (first == second)
    assert why_no_branch(one) == ""


@pytest.mark.parametrize(
    "name",
    ["x", "os/images", "a.b/c-d_e", "_", "fedora/x86_64/iot", "feed/me", "abcdefg", "oci/image/x"],
)
def test_branches_that_may_be(name: str) -> None:
    assert why_no_branch(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "-a", "a/-b", ".a", "a/..", "..", "a b", "remote:a", "a\n", "a" * 256,
     "feed", "0", "a" * 64, "oci/layer/x", "oci/tar-split/x"],
)  # fmt: skip
def test_branches_that_may_not(name: str) -> None:
    assert why_no_branch(name)


def test_ostree_really_misreads_such_names(tmp_path: Path, repo: Path) -> None:
    """Why names of hex digits are refused: the branch is there, and is not what is found."""
    (tmp_path / "tree").mkdir()

    def commit(branch: str) -> str:
        flags = [f"--branch={branch}", f"--subject={branch}", f"--tree=dir={tmp_path / 'tree'}"]
        return ostreerepo.ostree(repo, "commit", *flags).strip()

    first = commit("os/first")
    name = first[:8]
    assert commit(name) != first
    assert ostreerepo.rev_parse(repo, name) == first
