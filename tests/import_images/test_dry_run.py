"""--dry-run of the three importers: it says what they then do, and writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.image import build_oci
from tests.tools.importimage import (
    Outcome,
    imported,
    imported_storage,
    run_import,
    run_storage,
)
from tests.tools.importrelease import released, run_release
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.podman import Podman
from tests.tools.registry import Registry
from tests.tools.releaseworld import AMD64, World
from tests.tools.tarbuild import Entry

BASE = [Entry(b"f", content=b"base\n")]
UPPER = [Entry(b"g", content=b"upper\n")]
OTHER = [Entry(b"o", content=b"other\n")]


@pytest.fixture(scope="module")
def images(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two images that share their base."""
    layout = tmp_path_factory.mktemp("dry") / "layout"
    built = [build_oci(layout, name, [BASE, top]) for name, top in (("a", UPPER), ("b", OTHER))]
    return [registry.push(one, f"dry/{n}:1") for n, one in enumerate(built)]


def files(root: Path) -> dict[str, int]:
    """All files below a directory, and when each was changed."""
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}


def planned(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == 0, outcome.stderr
    document = outcome.document
    assert document["dry_run"] is True
    return document


def test_it_says_what_the_import_then_does(
    images: list[str], registry: Registry, repo: Path
) -> None:
    before = files(repo)
    registry.blob_requests()
    plan = planned(run_import(repo, "--dry-run", "--json", "--branch=os/store", *images))
    assert files(repo) == before
    done = imported(repo, "--branch=os/store", *images)
    layers = {one["layer_id"]: one for image in done["images"] for one in image["layers"]}
    assert {one["layer_id"] for one in plan["fetch"]} == set(layers)
    assert plan["fetch"][0]["images"] == 2  # what most images wait for comes first
    assert [one["images"] for one in plan["fetch"]] == [2, 1, 1]
    assert all(one["size"] == layers[one["layer_id"]]["size"] for one in plan["fetch"])
    assert len(plan["fetch"][0]["from"]) == 2
    assert plan["fetch_bytes"] == sum(one["size"] for one in plan["fetch"])
    assert plan["branches"] == [
        {"branch": "os/store", "commit": None, "base": None, "images": images, "artifacts": []}
    ]
    for planned_image, image in zip(plan["images"], done["images"], strict=True):
        for key in ("reference", "digest", "image_id", "names"):
            assert planned_image[key] == image[key]
        assert [one["digest"] for one in planned_image["layers"]] == [
            one["digest"] for one in image["layers"]
        ]
        assert not any(one["cached"] for one in planned_image["layers"])
    assert (plan["unchanged"], done["unchanged"]) == (False, False)


def test_no_layer_is_fetched(images: list[str], registry: Registry, repo: Path) -> None:
    registry.blob_requests()
    plan = planned(run_import(repo, "--dry-run", "--json", images[0]))
    assert plan["fetch"]
    assert not {one["digest"] for one in plan["fetch"]} & set(registry.blob_requests())


def test_a_repo_that_is_absent_stays_so(images: list[str], tmp_path: Path) -> None:
    outcome = run_import(tmp_path / "repo", "--dry-run", *images)
    assert outcome.status == 0, outcome.stderr
    assert list(tmp_path.iterdir()) == []
    lines = outcome.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["fetch"] * 3 + ["commit"] * 2 + ["would"]
    assert lines[-1].startswith("would import 2 images: 3 layers to fetch, ")


def test_what_is_there_is_not_fetched_and_is_unchanged(images: list[str], repo: Path) -> None:
    imported(repo, "--branch=os/store", images[0])
    flags = ("--dry-run", "--json", "--unchanged-exit-77", "--branch=os/store")
    same = run_import(repo, *flags, images[0])
    assert (same.status, same.document["unchanged"], same.document["fetch"]) == (77, True, [])
    assert all(layer["cached"] for layer in same.document["images"][0]["layers"])
    assert same.document["branches"][0]["commit"] == rev_parse(repo, "os/store")
    more = run_import(repo, *flags, *images)
    assert (more.status, len(more.document["fetch"])) == (0, 1)
    other = run_import(repo, *flags, "--prefix=/elsewhere", images[0])
    assert (other.status, other.document["unchanged"], other.document["fetch"]) == (0, False, [])


def test_layers_alone_have_no_branch_to_commit_to(images: list[str], repo: Path) -> None:
    plan = planned(run_import(repo, "--dry-run", "--json", "--form=layers", images[0]))
    assert (plan["branches"], len(plan["fetch"])) == ([], 2)
    imported(repo, "--form=layers", images[0])
    flags = ("--dry-run", "--json", "--form=layers", "--unchanged-exit-77")
    assert run_import(repo, *flags, images[0]).status == 77


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--branch=os/store", "--onto=none"], "no branch none"),
        (["--branch=taken/below"], "no branch taken/below can be beside branch taken"),
        (["--gpg-sign=nobody"], "signing with key nobody"),
    ],
)
def test_what_an_import_would_fail_for_fails(
    images: list[str], repo: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    ostree(repo, "commit", "--branch=taken", f"--tree=dir={tmp_path / 'empty'}")
    before = files(repo)
    outcome = run_import(repo, "--dry-run", *arguments, images[0])
    assert (outcome.status, says in outcome.stderr) == (1, True), outcome.stderr
    assert files(repo) == before


@pytest.mark.root
def test_an_existing_store(podman: Podman, images: list[str], tmp_path: Path) -> None:
    podman("pull", "--quiet", "--tls-verify=false", *images)
    root, repo = podman.home / "root", tmp_path / "repo"
    plan = planned(run_storage(repo, "--dry-run", "--json", "--branch=os/store", root))
    assert not repo.exists()
    done = imported_storage(repo, "--branch=os/store", root)
    layers = {one["layer_id"] for image in done["images"] for one in image["layers"]}
    assert {one["layer_id"] for one in plan["fetch"]} == layers
    sources = [Path(one["from"][0]) for one in plan["fetch"]]
    assert {path.name for path in sources} == {"diff"}
    assert {path.parent.parent for path in sources} == {root / "overlay"}
    flags = ("--dry-run", "--unchanged-exit-77", "--branch=os/store")
    before = files(repo)
    assert run_storage(repo, *flags, root).status == 77
    assert files(repo) == before


def test_a_release(world: World, tmp_path: Path) -> None:
    repo = world.copy(tmp_path)
    before = files(repo)
    flags = ("--dry-run", "--json", "--unchanged-exit-77", "--quiet")
    same = run_release(repo, *flags, *world.serve(world.first))
    assert (same.status, same.document["unchanged"]) == (77, True), same.stderr
    plan = planned(run_release(repo, *flags, *world.serve(world.second)))
    assert files(repo) == before
    done = released(repo, *world.serve(world.second))
    (part,), (release,) = plan["releases"], done["releases"]
    fetched = {
        one["layer_id"]
        for image in release["images"]
        for one in image["layers"]
        if not one["cached"]
    }
    assert {one["layer_id"] for one in part["fetch"]} == fetched
    assert fetched
    assert part["branch"] == release["branch"] == AMD64
    assert part["commit"] == release["parent"]
    assert part["changes"] == release["changes"]
    assert [one["component"] for one in part["images"]] == [
        one["component"] for one in release["images"]
    ]


def test_a_release_into_no_repo_yet(world: World, tmp_path: Path) -> None:
    outcome = run_release(tmp_path / "repo", "--dry-run", *world.serve(world.second))
    assert outcome.status == 0, outcome.stderr
    assert not (tmp_path / "repo").exists()
    assert "would import" in outcome.stdout.splitlines()[-1]


def test_a_release_with_an_image_that_cannot_be_had(world: World, tmp_path: Path) -> None:
    arguments = world.file(world.second, tmp_path)
    path = Path(arguments[0])
    document = json.loads(path.read_text())
    broken = document["references"]["spec"]["tags"][0]["from"]
    broken["name"] = broken["name"].partition("@")[0] + f"@sha256:{'0' * 64}"
    path.write_text(json.dumps(document))
    outcome = run_release(tmp_path / "repo", "--dry-run", *arguments)
    assert (outcome.status, "no branch was moved" in outcome.stderr) == (1, True), outcome.stderr
    kept = run_release(tmp_path / "repo", "--dry-run", "--json", "--keep-going", *arguments)
    assert (kept.status, len(kept.document["releases"][0]["failed"])) == (3, 1), kept.stderr
    assert not (tmp_path / "repo").exists()


def test_a_release_as_markdown(world: World, tmp_path: Path) -> None:
    flags = ("--dry-run", "--markdown")
    outcome = run_release(world.copy(tmp_path), *flags, *world.serve(world.second))
    assert "| `etcd` | changed | `" in outcome.stdout
    assert "would import" not in outcome.stdout
