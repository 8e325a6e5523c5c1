"""An import needs no root: as `nobody`, into a bare-user repo, to the same commit."""

import os
from pathlib import Path

import pytest

from fixtures.images import definition
from tests.tools.image import build_oci
from tests.tools.importimage import NOBODY, imported, run_import
from tests.tools.ostreerepo import fsck, heads, init, refs
from tests.tools.process import run
from tests.tools.registry import Registry

pytestmark = pytest.mark.root


@pytest.fixture
def reference(registry: Registry, layout: Path, fixtures: Path) -> str:
    """An image with owners, setuid bits, capabilities and whiteouts."""
    layers = definition.load(fixtures / "owners-modes-xattrs.layers")
    built = build_oci(layout, "t", [*layers, *definition.load(fixtures / "deletions.layers")])
    return registry.push(built, "unprivileged:t")


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_unprivileged_commit_is_roots(
    tmp_path: Path, unprivileged: Path, reference: str, mode: str
) -> None:
    mine, theirs = tmp_path / "repo", unprivileged / "repo"
    root = imported(mine, "--branch=os/b", reference)
    if mode == "archive":
        run([*NOBODY, "ostree", "init", f"--repo={theirs}", "--mode=archive"])
    nobody = imported(theirs, "--branch=os/b", reference, wrapper=NOBODY)
    assert nobody == root
    assert heads(theirs) == heads(mine)
    run([*NOBODY, "ostree", "fsck", "--quiet", f"--repo={theirs}"])
    assert {path.stat().st_uid for path in theirs.rglob("*")} == {65534}


def test_a_bare_repo_is_for_root_alone(unprivileged: Path, reference: str) -> None:
    repo = init(unprivileged / "repo", "bare")
    run(["chown", "-R", "65534:65534", repo])
    outcome = run_import(repo, reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert "bare repo" in outcome.said("error")[0]
    assert "bare-user" in outcome.said("hint")[0]
    assert refs(repo) == []


def test_a_repo_without_write_permission(unprivileged: Path, reference: str) -> None:
    repo = init(unprivileged / "repo")
    outcome = run_import(repo, reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert len(outcome.said("error")) == 1
    assert "writable" in outcome.said("hint")[0]
    assert refs(repo) == []
    fsck(repo)


def test_a_place_where_no_repo_can_be_made(unprivileged: Path, reference: str) -> None:
    unprivileged.chmod(0o555)
    os.chown(unprivileged, 0, 0)
    outcome = run_import(unprivileged / "repo", reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert len(outcome.said("error")) == 1
    assert str(unprivileged / "repo") in outcome.said("error")[0]
    assert not (unprivileged / "repo").exists()
