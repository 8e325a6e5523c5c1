"""check-upgrade foretells what podman, and heal, find on the device after the upgrade."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import checked_out_store, layer_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ownstorage import healed
from tests.tools.podman import Podman, new_podman
from tests.tools.process import CommandError
from tests.tools.registry import Registry
from tests.tools.storecommand import Outcome, image_store
from tests.tools.tarbuild import Entry, whiteout

SHARED = [Entry(b"shared", content=b"shared\n"), Entry(b"gone", content=b"gone\n")]
OWN = [whiteout(b"gone"), Entry(b"own", content=b"own\n")]
SIBLING = [Entry(b"sibling", content=b"sibling\n")]
OTHER = [Entry(b"other", content=b"other\n")]
TAG, LOWER, TOP = "example.org/tagged:1", "example.org/lower:1", "example.org/top:1"
BRANCHES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "private": ((), (LOWER, TOP)),
    "standard": (("--layer-ids=standard",), (LOWER, TOP)),
    "none": (("--whiteouts=none",), (LOWER, TOP)),
    "flattened": (("--flatten",), (LOWER, TOP)),
    "lower": ((), (LOWER,)),
    "top": ((), (TOP,)),
    "standard-other": (("--layer-ids=standard",), ("example.org/other:1",)),
    "none-other": (("--whiteouts=none",), ("example.org/other:1", LOWER)),
}
# The upgrade; why containers of LOWER and of TOP do not start, by links and by ids.
UPGRADES: list[tuple[str, str, list[str | None], list[str | None]]] = [
    ("private", "private", [None, None], [None, None]),
    ("standard", "private", [None, None], ["ids", "ids"]),
    ("private", "standard", [None, None], ["ids", "ids"]),
    ("private", "none", ["form", "form"], ["form", "form"]),
    ("none", "flattened", ["form", "form"], ["form", "form"]),
    ("private", "lower", [None, "missing-layer"], [None, "missing-layer"]),
    ("private", "top", [None, None], [None, None]),
    ("standard", "standard-other", ["missing-layer"] * 2, ["missing-layer"] * 2),
    ("none", "none-other", [None, "missing-layer"], [None, "missing-layer"]),
]


@dataclass
class World:
    """A repo with BRANCHES, their checked-out stores, and an image to pull beside a store."""

    home: Path
    images: dict[str, BuiltImage]
    sibling: str

    @property
    def repo(self) -> Path:
        return self.home / "repo"

    def store(self, branch: str) -> Path:
        """The branch's store, checked out once."""
        where = self.home / "checkouts" / branch
        where.parent.mkdir(exist_ok=True)
        if where.exists():
            return where / "usr/lib/containers/storage"
        return checked_out_store(self.repo, branch, where)

    def check(self, old: str, new: str, *flags: str) -> Outcome:
        return image_store(self.repo, "check-upgrade", *flags, old, new)

    def told(self, old: str, new: str) -> Any:
        """The document, which has to fit the exit status."""
        outcome = self.check(old, new, "--json")
        assert outcome.status == (0 if outcome.document["goes_on"] else 4)
        return outcome.document


@pytest.fixture(scope="module")
def world(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("upgrades")
    layout, config = home / "layout", {"Cmd": ["cat", "/shared"]}
    base = [busybox_layer(), SHARED]
    images = {
        LOWER: build_oci(layout, "lower", base, config=config),
        TOP: build_oci(layout, "top", [*base, OWN], config=config),
        "example.org/other:1": build_oci(layout, "other", [OTHER, SHARED], config=config),
    }
    for branch, (flags, names) in BRANCHES.items():
        given = [f"{name}=oci:{layout}:{images[name].tag}" for name in names]
        imported(home / "repo", f"--branch={branch}", *flags, *given)
    sibling = build_oci(layout, "sibling", [*base, SIBLING])
    return World(home, images, registry.push(sibling, "check-upgrade/sibling:1"))


@dataclass
class Device:
    """A podman with a container of each image of the store, and three records of its own."""

    podman: Podman
    store: Path

    def use(self, store: Path) -> None:
        self.store.unlink(missing_ok=True)
        self.store.symlink_to(store)

    def starts(self, container: str) -> bool:
        return worked(lambda: self.podman.start(container))

    def knows(self, image: str) -> bool:
        return worked(lambda: self.podman.inspect(image))


def worked(work: Callable[[], object]) -> bool:
    try:
        work()
    except CommandError:
        return False
    return True


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    podman = new_podman(tmp_path / "podman", tmp_path / "store")
    yield Device(podman, tmp_path / "store")
    podman("rm", "--force", "lower", "top")


def prepared(device: Device, world: World, branch: str) -> list[str]:
    """Everything that a device may have over a store; returns the containers' ids."""
    device.use(world.store(branch))
    for container, name in (("lower", LOWER), ("top", TOP)):
        device.podman.create(container, name)
    device.podman("pull", "--quiet", "--tls-verify=false", world.sibling)
    device.podman("tag", TOP, TAG)
    names = ("lower", "top")
    return [device.podman("inspect", "--format={{.Id}}", name).strip() for name in names]


@pytest.mark.root
@pytest.mark.parametrize(("old", "new", "by_link", "by_id"), UPGRADES)
def test_podman_and_heal_find_what_was_foretold(
    world: World,
    device: Device,
    old: str,
    new: str,
    by_link: list[str | None],
    by_id: list[str | None],
) -> None:
    told = world.told(old, new)
    containers = [image["containers"] for image in told["images"]]
    for key, causes in (("by_link", by_link), ("by_id", by_id)):
        assert [each[key] and each[key]["cause"] for each in containers] == causes
    ids = prepared(device, world, old)
    own = device.podman.home / "root"
    knows_ids = any((own / "overlay").glob("*/lower-layers"))
    device.use(world.store(new))
    starting = [each["by_id" if knows_ids else "by_link"] is None for each in containers]
    found = healed(own, device.store, dry_run=True)
    assert set(found.stuck) == {
        one for one, starts in zip(ids, starting, strict=True) if not starts
    }
    broken = {name for broken in found.broken for name in broken.image.names}
    assert (TAG in broken) is told["images"][1]["tag_breaks"]
    assert (world.sibling in broken) is bool(told["broken_parents"])
    assert device.knows(TAG) is (TAG not in broken)
    assert device.knows(world.sibling) is (world.sibling not in broken)
    assert [device.starts(name) for name in ("lower", "top")] == starting


def test_pods_find_images_by_name_and_replaced_ones_are_told_from_lost_ones(world: World) -> None:
    (image,) = (one for one in world.told("private", "lower")["images"] if one["in_new"] != "same")
    assert image["in_new"] == "gone"
    assert image["lost_names"] == [TOP]
    other = world.images["example.org/other:1"]
    given = f"{TOP}=oci:{world.home}/layout:other"
    imported(world.repo, "--branch=replaced", given, f"{LOWER}=oci:{world.home}/layout:lower")
    told = world.told("private", "replaced")
    assert [(one["in_new"], one["lost_names"]) for one in told["images"]] == [
        ("same", []),
        ("replaced", []),
    ]
    assert [one["image_id"] for one in told["added"]] == [other.image_id]


def test_an_image_without_a_name_is_found_by_its_id_alone(world: World) -> None:
    for branch, tag in (("nameless", "lower"), ("other", "other")):
        imported(world.repo, f"--branch={branch}", f"oci:{world.home}/layout:{tag}")
    (image,) = world.told("nameless", "lower")["images"]
    assert (image["in_new"], image["image"]["names"]) == ("same", [])
    outcome = world.check("nameless", "other")
    assert outcome.status == 4
    assert f"pods have to pull {world.images[LOWER].image_id[:12]}" in outcome.stdout


@pytest.mark.root
def test_what_is_fetched_and_needed(world: World, tmp_path: Path) -> None:
    same = world.told("private", "private")
    assert same["fetch"]["objects"] == same["space"] == 0
    told = world.told("lower", "private")
    assert told["goes_on"]
    diff = image_store(world.repo, "diff", "--json", "lower", "private")
    assert told["fetch"] == diff.document["fetch"]
    device = ostreerepo.init(tmp_path / "device", "bare")
    taken = []
    for branch in ("lower", "private"):
        ostreerepo.ostree(device, "pull-local", world.repo, branch)
        found = [path.lstat() for path in (device / "objects").glob("*/*")]
        taken.append(sum(one.st_blocks * 512 for one in found))
    few = 4096 * told["fetch"]["objects"] // 2  # empty files and short symlinks take no block
    assert taken[1] - taken[0] <= told["space"] <= taken[1] - taken[0] + few


def test_the_text_says_why_and_what_to_do(world: World) -> None:
    outcome = world.check("standard", "standard-other")
    assert outcome.status == 4
    ids = layer_ids(world.images[TOP].diff_ids)
    assert f"B lacks layer {ids[-1][:12]}" in outcome.stdout
    assert f"pods have to pull {TOP}" in outcome.stdout
    assert "enable import-image-heal.service" in outcome.stdout
    outcome = world.check("lower", "top")
    assert "images: 0 of 1 go on" in outcome.stdout
    assert "images that a device pulled or built beside A lose nothing" in outcome.stdout


def test_bootable_images(world: World) -> None:
    base = build_oci(world.home / "os", "base", [[Entry(b"etc", "dir")]])
    for branch in ("none", "none-other"):
        to = f"oci:{world.home}/os:{branch}"
        flags = ("--quiet", f"--base=oci:{base.directory}:base", f"--to={to}", branch)
        outcome = image_store(world.repo, "embed", *flags)
        assert outcome.status == 0, outcome.stderr
    names = [f"oci:{world.home}/os:{branch}" for branch in ("none", "none-other")]
    told = world.told(*names)
    branches = world.told("none", "none-other")
    assert told | {"images_diff": None} == branches
    layers = world_layers(world.home / "os", "none-other") - world_layers(world.home / "os", "none")
    assert told["images_diff"]["pull"] == {
        "layers": len(layers),
        "bytes": sum(size for _, size in layers),
    }
    text = world.check(*names).stdout
    assert f"a device with A pulls {len(layers)} of " in text
    assert "new layers of the base come on top" in text
    unknown = world.check(f"oci:{base.directory}:base", names[1])
    assert unknown.status == 1
    assert "an image that embed did not make cannot be checked" in unknown.stderr
    mixed = world.check("none", names[1])
    assert mixed.status == 1
    assert "is an image, and none is none" in mixed.stderr


def world_layers(layout: Path, tag: str) -> set[tuple[str, int]]:
    index = json.loads((layout / "index.json").read_text())
    (digest,) = (
        one["digest"]
        for one in index["manifests"]
        if one["annotations"]["org.opencontainers.image.ref.name"] == tag
    )
    manifest = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return {(layer["digest"], layer["size"]) for layer in manifest["layers"]}
