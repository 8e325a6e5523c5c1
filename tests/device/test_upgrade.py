"""A device's own images after an upgrade took the layers away that they shared with the store.

The store's layers have private ids, so that podman copies what a pulled image shares with them.
With standard ids such an image breaks, and `heal` moves it aside.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.packaging.device_program import write_program
from tests.tools.busybox import busybox_layer
from tests.tools.cgroup2 import with_cgroup2
from tests.tools.expected import checked_out_store, private_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.podman import Podman, new_podman
from tests.tools.process import Argument, CommandError, run
from tests.tools.registry import Registry
from tests.tools.store import store_images, store_layers
from tests.tools.tarbuild import Entry, whiteout

pytestmark = pytest.mark.root

SHARED = [Entry(b"shared", content=b"shared\n"), Entry(b"gone", content=b"gone\n")]
OWN = [whiteout(b"gone"), Entry(b"own", content=b"own\n")]
SIBLING = [Entry(b"sibling", content=b"sibling\n")]
OTHER = [Entry(b"other", content=b"other\n")]
READ = "cat /shared; cat /gone 2>/dev/null; cat /own /sibling /new 2>/dev/null; true"
FORMS = {"private": (), "flattened": ("--flatten",), "standard": ("--layer-ids=standard",)}


@dataclass
class World:
    """A device whose store at `store` is of one release, with podman's own storage beside it."""

    registry: Registry
    layout: Path
    home: Path
    form: str

    def __post_init__(self) -> None:
        config = {"Cmd": ["sh", "-c", READ]}
        base = [busybox_layer(), SHARED]
        self.image = build_oci(self.layout, "image", [*base, OWN], config=config)
        self.sibling = build_oci(self.layout, "sibling", [*base, SIBLING], config=config)
        self.other = build_oci(self.layout, "other", [[Entry(b"x", content=b"x")], OTHER])
        self.name = self.push(self.image)
        self.store = self.home / "store"
        self.podman: Podman = new_podman(self.home / "podman", self.store)
        self.install(self.name)

    def push(self, image: BuiltImage) -> str:
        """The image in the registry, under a name of this world's own."""
        return self.registry.push(image, f"upgrade-{self.form}/{image.tag}:1")

    def install(self, name: str) -> None:
        """Puts a store of this one image in the place of whatever is there."""
        branch = name.rpartition("/")[2].partition(":")[0] + "-branch"
        imported(self.home / "repo", f"--branch={branch}", *FORMS[self.form], name)
        tree = checked_out_store(self.home / "repo", branch, self.home / f"checkout-{branch}")
        self.store.unlink(missing_ok=True)
        self.store.symlink_to(tree)

    def pull(self, name: str) -> None:
        """`podman pull`, which asks the registry."""
        self.podman("pull", "--quiet", "--tls-verify=false", name)

    def commit(self, tag: str) -> None:
        """A container over the store's image, committed."""
        argv = ["podman", "run", "--name=c", "--cgroups=disabled", "--pull=never"]
        argv += ["--network=none", self.name, "sh", "-c", "echo new > /new; rm /shared"]
        run(with_cgroup2(argv), env=self.podman.environment)
        self.podman("commit", "--quiet", "c", tag)
        self.podman("rm", "c")

    def build(self, tag: str) -> None:
        """An image built FROM the store's."""
        context = self.home / "context"
        context.mkdir()
        (context / "Containerfile").write_text(f"FROM {self.name}\nRUN echo new > /new\n")
        self.podman.build(context, tag)

    @property
    def own(self) -> Path:
        """podman's own storage, the device's /var."""
        return self.podman.home / "root"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that goes onto a device."""
    path = tmp_path_factory.mktemp("program") / "device"
    write_program(path)
    return path


Heal = Callable[..., Any]


@pytest.fixture
def heal(program: Path) -> Heal:
    """Runs it as on a device, by Python without our libraries."""

    def run_it(device: World, *flags: str) -> Any:
        argv: list[Argument] = ["/usr/bin/python3", "-I", "-S", program, "heal", "--json"]
        return json.loads(run([*argv, f"--root={device.own}", f"--store={device.store}", *flags]))

    return run_it


@pytest.fixture
def world(registry: Registry, layout: Path, tmp_path: Path) -> Callable[[str], World]:
    """Makes one; the registry is the session's, and nothing is pulled after an upgrade."""
    return lambda form: World(registry, layout, tmp_path, form)


def whole(storage: Path) -> bool:
    """Whether every layer's parent is in this storage itself."""
    layers = {layer["id"]: layer.get("parent", "") for layer in store_layers(storage)}
    return all(parent in layers for parent in layers.values() if parent)


@pytest.mark.parametrize("form", ["private", "flattened"])
def test_what_was_made_beside_the_store_outlives_it(
    world: Callable[[str], World], form: str
) -> None:
    device = world(form)
    sibling = device.push(device.sibling)
    device.pull(sibling)
    device.commit("example.org/committed:1")
    device.build("example.org/built:1")
    before = [image["Id"] for image in device.podman.images() if not image.get("ReadOnly")]
    assert len(before) == 3
    assert whole(device.own)
    device.podman("system", "check")
    device.install(device.push(device.other))
    after = device.podman.images()
    assert sorted(one["Id"] for one in after if not one.get("ReadOnly")) == sorted(before)
    for name, said in (
        (sibling, "shared\ngone\nsibling\n"),
        ("example.org/committed:1", "own\nnew\n"),
        ("example.org/built:1", "shared\nown\nnew\n"),
    ):
        assert device.podman.inspect(name)["Id"] in before
        assert device.podman.run(name, "sh", "-c", READ) == said
    device.podman("system", "check")


def test_a_pull_by_policy_always_takes_no_layer_of_the_store_as_its_own(
    world: Callable[[str], World],
) -> None:
    device = world("private")
    argv = ["podman", "run", "--rm", "--cgroups=disabled", "--network=none", "--pull=always"]
    argv += ["--tls-verify=false", device.name]
    assert run(with_cgroup2(argv), env=device.podman.environment) == "shared\nown\n"
    assert whole(device.own)
    device.install(device.push(device.other))
    assert device.podman.run(device.name) == "shared\nown\n"


def test_a_container_over_the_store_after_its_ids_became_private(
    registry: Registry, layout: Path, tmp_path: Path, heal: Heal
) -> None:
    """containers-storage up to 1.62 gives containers the layers' links, which stay; later ones give
    them the ids. heal knows which of them start."""
    FORMS["changing"] = FORMS["standard"]
    device = World(registry, layout, tmp_path, "changing")
    for name in ("kept", "other"):
        device.podman.create(name, device.name)
    by_id = [*(device.own / "overlay").glob("*/lower-layers")]
    FORMS["changing"] = FORMS["private"]
    again = imported(tmp_path / "repo", "--branch=again", device.name)
    ids = [layer["store_layer_id"] for layer in again["images"][0]["layers"]]
    assert ids == private_ids(device.image.diff_ids)
    store = checked_out_store(tmp_path / "repo", "again", tmp_path / "again")
    device.store.unlink()
    device.store.symlink_to(store)
    assert len(heal(device)["stuck_containers"]) == len(by_id)
    if by_id:
        with pytest.raises(CommandError, match="lower layer"):
            device.podman.start("kept")
        device.podman("rm", "other")
        device.podman.create("other", device.name)
        assert device.podman.start("other") == "shared\nown\n"
    for one in by_id:
        one.unlink(missing_ok=True)  # as an earlier version has made the container
    assert heal(device)["stuck_containers"] == []
    assert device.podman.start("kept") == "shared\nown\n"


# -- heal --


def test_heal_moves_aside_what_an_upgrade_broke_and_nothing_else(
    world: Callable[[str], World], heal: Heal
) -> None:
    device = world("standard")
    lone = device.push(build_oci(device.layout, "lone", [[*busybox_layer(), *OTHER]]))
    sibling = device.push(device.sibling)
    device.pull(lone)
    device.pull(sibling)
    device.podman("tag", device.name, "example.org/tagged:1")
    assert heal(device)["images"] == []
    device.install(device.push(device.other))
    with pytest.raises(Exception, match="layer not known"):
        device.podman.inspect(sibling)
    told = heal(device, "--dry-run")
    assert {one["image_id"] for one in told["images"]} == {
        device.sibling.image_id,
        device.image.image_id,
    }
    assert len(store_images(device.own)) == 3
    done = heal(device)
    assert done == told | {"dry_run": False, "moved_aside": True}
    assert [image["names"] for image in store_images(device.own)] == [[lone]]
    assert whole(device.own)
    assert {path.name for path in (device.own / "overlay").iterdir() if len(path.name) == 64} == {
        layer["id"] for layer in store_layers(device.own)
    }
    assert all(link.exists() for link in (device.own / "overlay/l").iterdir())
    names = {name for image in device.podman.images() for name in image["Names"]}
    assert lone in names
    assert sibling not in names
    device.podman("system", "check")
    device.pull(sibling)
    assert device.podman.run(sibling) == "shared\ngone\nsibling\n"
    assert heal(device)["images"] == []


def test_what_heal_moved_aside_is_back_after_a_rollback(
    world: Callable[[str], World], heal: Heal
) -> None:
    """podman starts and removes it as before, although its garbage collection ran meanwhile."""
    device = world("standard")
    sibling = device.push(device.sibling)
    device.pull(sibling)
    device.build("example.org/built:1")
    release = device.store.resolve()
    device.install(device.push(device.other))
    assert len(heal(device)["images"]) == 2
    device.podman("system", "prune", "--all", "--force", "--build")
    assert store_layers(device.own) == []
    device.store.unlink()
    device.store.symlink_to(release)
    assert len(heal(device)["returned"]) == 2
    assert device.podman.run(sibling) == "shared\ngone\nsibling\n"
    assert device.podman.run("example.org/built:1", "sh", "-c", READ) == "shared\nown\nnew\n"
    device.podman("rmi", sibling, "example.org/built:1")
    assert not heal(device)["returned"]


def test_an_image_built_upon_the_store_is_back_when_its_base_was_pulled(
    world: Callable[[str], World], heal: Heal
) -> None:
    """The base's layers have other links in /var than they had in the store."""
    device = world("standard")
    device.build("example.org/built:1")
    device.install(device.push(device.other))
    assert [one["names"] for one in heal(device)["images"]] == [["example.org/built:1"]]
    device.pull(device.name)
    done = heal(device)
    assert [one["names"] for one in done["returned"]] == [["example.org/built:1"]]
    assert len(done["linked_layers"]) == 1
    assert device.podman.run("example.org/built:1", "sh", "-c", READ) == "shared\nown\nnew\n"
    assert device.podman.run(device.name) == "shared\nown\n"
    device.podman("system", "check")


def test_a_tag_of_a_store_image_breaks_with_private_ids_too_and_heal_moves_it_aside(
    world: Callable[[str], World], heal: Heal
) -> None:
    """docs/how-to/upgrades.md: do not tag images of a store."""
    device = world("private")
    device.podman("tag", device.name, "example.org/tagged:1")
    with pytest.raises(CommandError, match="uses a different top layer"):
        device.pull(device.name)
    device.install(device.push(device.other))
    with pytest.raises(CommandError, match="layer not known"):
        device.podman.inspect("example.org/tagged:1")
    assert [one["image_id"] for one in heal(device)["images"]] == [device.image.image_id]
    assert store_images(device.own) == []
    assert [image["ReadOnly"] for image in device.podman.images()] == [True]
