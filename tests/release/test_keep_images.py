"""`--keep-images`: the images of earlier releases stay in the store beside the new one's."""

from pathlib import Path
from typing import Any

import pytest

from tests.tools.importrelease import released
from tests.tools.nightly import Nightly
from tests.tools.ostreerepo import checkout, fsck
from tests.tools.releaseworld import AMD64, STORE, STREAM, World
from tests.tools.store import store_images, store_layers
from tests.tools.storecommand import answered, image_store

pytestmark = pytest.mark.root


@pytest.fixture
def third(world: World) -> Nightly:
    return world.nightlies.push(f"{STREAM}-2024-05-08-070809", changed=["etcd"])


def run(world: World, repo: Path, nightly: Nightly, where: Path, *flags: str) -> dict[str, Any]:
    """Imports a nightly from its file; its part of the result."""
    document = released(repo, *world.file(nightly, where), "--arch=amd64", *flags)
    (part,) = document["releases"]
    return dict(part)


def ids(nightly: Nightly) -> set[str]:
    return {image.image_id for image in nightly.images.values()}


def kept(store: Path) -> dict[str, str]:
    """The images that the store has from earlier releases, with these."""
    found = ((image["id"], image.get("flags", {})) for image in store_images(store))
    return {image: flags["import-image.kept-from"] for image, flags in found if flags}


def test_images_of_the_last_release_stay_and_go_with_the_next(
    world: World, tmp_path: Path, third: Nightly
) -> None:
    repo = world.copy(tmp_path)
    part = run(world, repo, world.second, tmp_path, "--keep-images=1")
    gone = ids(world.first) - ids(world.second)
    assert len(gone) == 2
    assert {one["image_id"] for one in part["kept_images"]} == gone
    assert part["lost"] == {"images": [], "layers": [], "artifacts": []}
    store = checkout(repo, AMD64, tmp_path / "second") / STORE.strip("/")
    assert kept(store) == dict.fromkeys(gone, world.first.name)
    assert {image["id"] for image in store_images(store)} == ids(world.second) | gone
    again = run(world, repo, world.second, tmp_path, "--keep-images=1")
    assert (again["unchanged"], again["commit"]) == (True, part["commit"])
    run(world, repo, third, tmp_path, "--keep-images=1")
    after = checkout(repo, AMD64, tmp_path / "third") / STORE.strip("/")
    assert set(kept(after)) == ids(world.second) - ids(third)
    assert {image["id"] for image in store_images(after)} == ids(third) | ids(world.second)
    assert image_store(repo, "verify", "--quiet", AMD64).status == 0
    fsck(repo)


def test_two_releases_back(world: World, tmp_path: Path, third: Nightly) -> None:
    repo = world.copy(tmp_path)
    run(world, repo, world.second, tmp_path, "--keep-images=2")
    run(world, repo, third, tmp_path, "--keep-images=2")
    store = checkout(repo, AMD64, tmp_path / "third") / STORE.strip("/")
    wanted = ids(world.first) | ids(world.second) | ids(third)
    assert {image["id"] for image in store_images(store)} == wanted
    shown = answered(repo, "list", AMD64)
    from_where = {one["image_id"]: one["kept_from"] for one in shown["images"]}
    assert set(from_where.values()) == {None, world.first.name, world.second.name}


def test_they_stay_where_older_commits_go(world: World, tmp_path: Path, third: Nightly) -> None:
    """--keep deletes the commits of the releases whose images --keep-images keeps."""
    repo = world.copy(tmp_path)
    flags = ("--keep-images=2", "--keep=1")
    run(world, repo, world.second, tmp_path, *flags)
    part = run(world, repo, third, tmp_path, *flags)
    wanted = (ids(world.first) | ids(world.second)) - ids(third)
    again = run(world, repo, third, tmp_path, *flags)
    assert (again["unchanged"], again["commit"]) == (True, part["commit"])
    assert {one["image_id"] for one in again["kept_images"]} == wanted
    assert run(world, repo, third, tmp_path, "--keep=1")["kept_images"] == []


def test_what_a_release_without_it_takes_away_is_told(world: World, tmp_path: Path) -> None:
    repo = world.copy(tmp_path)
    before = checkout(repo, AMD64, tmp_path / "first") / STORE.strip("/")
    part = run(world, repo, world.second, tmp_path)
    after = checkout(repo, AMD64, tmp_path / "second") / STORE.strip("/")
    gone = ids(world.first) - ids(world.second)
    layers = {one["id"] for one in store_layers(before)} - {
        one["id"] for one in store_layers(after)
    }
    assert {one["image_id"] for one in part["lost"]["images"]} == gone
    assert {one["store_layer_id"] for one in part["lost"]["layers"]} == layers
    assert layers
    outcome = image_store(repo, "diff", f"{AMD64}^", AMD64, "--lost")
    assert outcome.status == 1
    assert all(one in outcome.stdout for one in layers)
    assert image_store(repo, "diff", AMD64, AMD64, "--lost").status == 0
    difference = answered(repo, "diff", f"{AMD64}^", AMD64)
    assert difference["lost"] == part["lost"]
