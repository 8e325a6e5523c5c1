"""An import needs no root: as `nobody`, into a bare-user repo, to the same commit."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import definition
from tests.tools.image import build_oci
from tests.tools.importimage import NOBODY, SCRIPT, imported, run_import
from tests.tools.ostreerepo import fsck, init, refs, rev_parse
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry

pytestmark = pytest.mark.root


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A directory that belongs to `nobody`; pytest's own are closed to others."""
    try:
        run([*NOBODY, SCRIPT, "--version"])
    except CommandError:
        pytest.skip("nobody can not read the program here")
    where = Path(tempfile.mkdtemp(prefix="nobody-"))
    os.chown(where, 65534, 65534)
    try:
        yield where
    finally:
        shutil.rmtree(where)


@pytest.fixture
def reference(registry: Registry, layout: Path, fixtures: Path) -> str:
    """An image with owners, setuid bits, capabilities and whiteouts."""
    layers = definition.load(fixtures / "owners-modes-xattrs.layers")
    built = build_oci(layout, "t", [*layers, *definition.load(fixtures / "deletions.layers")])
    return registry.push(built, "unprivileged:t")


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_nobodys_commit_is_roots(tmp_path: Path, nobodys: Path, reference: str, mode: str) -> None:
    mine, theirs = tmp_path / "repo", nobodys / "repo"
    root = imported(mine, "--branch=os/b", reference)
    if mode == "archive":
        run([*NOBODY, "ostree", "init", f"--repo={theirs}", "--mode=archive"])
    nobody = imported(theirs, "--branch=os/b", reference, wrapper=NOBODY)
    assert nobody == root
    assert {ref: rev_parse(theirs, ref) for ref in refs(theirs)} == {
        ref: rev_parse(mine, ref) for ref in refs(mine)
    }
    run([*NOBODY, "ostree", "fsck", "--quiet", f"--repo={theirs}"])
    assert {path.stat().st_uid for path in theirs.rglob("*")} == {65534}


def test_a_bare_repo_is_for_root_alone(nobodys: Path, reference: str) -> None:
    repo = init(nobodys / "repo", "bare")
    run(["chown", "-R", "65534:65534", repo])
    outcome = run_import(repo, reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert "bare repo" in outcome.said("error")[0]
    assert "bare-user" in outcome.said("hint")[0]
    assert refs(repo) == []


def test_a_repo_without_write_permission(nobodys: Path, reference: str) -> None:
    repo = init(nobodys / "repo")
    outcome = run_import(repo, reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert len(outcome.said("error")) == 1
    assert "writable" in outcome.said("hint")[0]
    assert refs(repo) == []
    fsck(repo)


def test_a_place_where_no_repo_can_be_made(nobodys: Path, reference: str) -> None:
    nobodys.chmod(0o555)
    os.chown(nobodys, 0, 0)
    outcome = run_import(nobodys / "repo", reference, wrapper=NOBODY)
    assert outcome.status == 1
    assert len(outcome.said("error")) == 1
    assert str(nobodys / "repo") in outcome.said("error")[0]
    assert not (nobodys / "repo").exists()
