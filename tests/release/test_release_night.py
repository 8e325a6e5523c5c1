"""A whole rebase night: one call, and the git diff is what MicroShift's rebase.sh writes."""

import shutil
from pathlib import Path

import pytest

from tests.tools.importrelease import failed, run_release
from tests.tools.nightly import Nightlies
from tests.tools.ostreerepo import refs, rev_parse
from tests.tools.rebase import (
    CRIO,
    MULTUS,
    MULTUS_DIR,
    OLM,
    OLM_DIR,
    RELEASE,
    UNAME,
    git,
    rebase,
    repository,
)
from tests.tools.releaseworld import AMD64, ARM64, World, write


def options(where: Path) -> list[str]:
    """The files of the repository, as a job names them."""
    found = [f"--image-references={where}/{OLM_DIR}/image-references"]
    for goarch, uname in UNAME.items():
        found += [
            f"--update-json={where}/{RELEASE.format(uname)}",
            f"--update-crio={where}/{CRIO.format(goarch)}",
            f"--update-kustomization={where}/{MULTUS_DIR}/kustomization.{uname}.yaml",
            f"--update-kustomization={where}/{OLM_DIR}/kustomization.{uname}.yaml",
            f"--new-json={where}/{MULTUS_DIR}/release-multus-{uname}.json",
            f"--components={','.join(MULTUS)}",
            f"--new-json={where}/{OLM_DIR}/release-olm-{uname}.json",
            f"--components={','.join(OLM)}",
        ]
    return found


@pytest.fixture(scope="module")
def night(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """Two repositories after the first nightlies, the other one rebased by the script's rules to
    the second ones, and the sources of those."""
    where = tmp_path_factory.mktemp("night")
    nightlies = Nightlies(world.registry, where / "layout")  # with versions of its own
    changed = ["cli", "pod", "hyperkube", "kube-rbac-proxy", "topolvm"]
    second = {arch: nightlies.push(f"{world.second.name}-{arch}", arch, changed) for arch in UNAME}
    ours = repository(where / "ours", {"amd64": world.first, "arm64": world.first_arm64})
    theirs = Path(shutil.copytree(ours, where / "theirs"))
    rebase(theirs, second)
    sources = []
    for nightly in second.values():
        path = write(where / f"{nightly.name}.json", nightly.release_info())
        sources.append(f"{nightly.arch}={path}")
    return ours, theirs, [*sources, "--branch=oci/release/4.20.0-0.nightly/{arch}"]


def test_a_night(world: World, copied: Path, night: tuple[Path, Path, list[str]]) -> None:
    ours, theirs, sources = night
    expected = git(theirs, "diff", "--stat")
    arguments = [*sources, *options(ours)]
    checked = run_release(copied, "--dry-run", "--json", "--quiet", *arguments).document
    assert git(ours, "status", "--short") == ""
    before = rev_parse(copied, AMD64)
    outcome = run_release(copied, "--json", *arguments)
    document = outcome.document
    assert git(ours, "diff") == git(theirs, "diff")
    assert git(ours, "diff", "--stat") == expected
    changed = {f"{ours}/{name}" for name in git(ours, "diff", "--name-only").split()}
    assert len(changed) == 12
    assert all(f"{path} was changed\n" in outcome.stderr for path in changed)
    assert set(document["updated_files"]) == set(checked["updated_files"]) == changed
    assert rev_parse(copied, AMD64) != before
    assert {AMD64, ARM64} <= set(refs(copied))
    again = run_release(copied, *arguments, "--json", "--quiet", "--unchanged-exit-77")
    assert again.status == 77
    assert again.document["updated_files"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--new-json=n.json"], "--new-json needs --components"),
        (["--components=etcd"], "--components is only for --new-json"),
        (["--image-references=r"], "--image-references is only for --update-kustomization"),
        (["--new-json=a", "--new-json=b", "--new-json=c", "--components=x", "--components=y"],
         "--new-json is given 3 times, --components 2 times"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_a_usage_error(copied: Path, arguments: list[str], said: str) -> None:
    outcome = run_release(copied, "release.json", *arguments)
    assert outcome.status == 2
    assert said in outcome.stderr


def test_a_file_that_does_not_fit_stops_the_night_before_it_begins(
    world: World, copied: Path, night: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("images: []\n")
    before = rev_parse(copied, AMD64)
    world.registry.requests()
    good = tmp_path / "good.json"
    arguments = [f"--new-json=amd64={good}", "--components=etcd"]
    failed(copied, *night[2], *arguments, f"--update-kustomization=amd64={wrong}")
    assert rev_parse(copied, AMD64) == before
    assert world.registry.requests() == []
    assert not good.exists()
