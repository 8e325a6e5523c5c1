"""podman reads what we take, and none of what we refuse: `layers.oci.go_structs` asked of it.

The images lie in a store that was made by hand, each with one field of another type, as an
import would have written them before they were refused.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from layers.digest import Digest
from layers.oci.media_type import OLD_DOCKER_CONFIGS
from layers.storage.image_record import StoredImage
from tests.tools.busybox import busybox_layer
from tests.tools.gofields import SPELLINGS, Base, OddImage, edited, mixed, right, wrong
from tests.tools.goindexes import OddIndex, right_index, wrong_indexes
from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.layout import Layout, digest_of
from tests.tools.mediatype import DOCKER, OCI
from tests.tools.podman import Podman, new_podman
from tests.tools.process import CommandError, run
from tests.tools.store import store_images
from tests.tools.storecommand import answered, image_store
from tests.tools.tamper import LooseStore, commit, copy, loose

pytestmark = pytest.mark.root

FAMILIES = (False, True)
OLD_CONFIG_TYPES: tuple[dict[str, str], ...] = (
    {},
    *({"mediaType": one} for one in OLD_DOCKER_CONFIGS),
    {"mediaType": OCI.config},
)
# Read since containers/image 5.38. Devices have older ones.
ZSTD = f"docker, {DOCKER.of_layer('zstd')}"


@dataclass(frozen=True)
class World:
    """A repo with one good image of one layer, its store checked out, and that layer."""

    repo: Path
    good: str
    store: LooseStore
    base: Base
    layout: Layout
    layer: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    where = tmp_path_factory.mktemp("readable")
    built = build_oci(where / "layout", "t", [busybox_layer()])
    imported(where / "repo", "--branch=good", f"localhost/good:1=oci:{where}/layout:t")
    base = Base(built.layers[0].digest, built.layers[0].size, built.diff_ids[0])
    store = loose(where / "repo", "good", where / "store")
    (record,) = store_images(store.path)
    layout, layer = Layout(where / "layout"), str(record["layer"])
    return World(where / "repo", built.image_id, store, base, layout, layer)


def write_images(store: Path, layer: str, images: Iterable[OddImage]) -> None:
    """Writes images of this layer into a store, as an import does."""
    path = store / "overlay-images/images.json"
    records = json.loads(path.read_bytes())
    for image in images:
        digest = Digest.of(image.manifest)
        big_data = {
            "manifest": image.manifest,
            f"manifest-{digest}": image.manifest,
            f"sha256:{image.id}": image.config,
        }
        name = f"localhost/odd-{len(records)}:1"
        record = StoredImage(image.id, digest, (name,), layer, "", big_data)
        folder = path.parent / image.id
        folder.mkdir()
        for file, data in record.files().items():
            (folder / file).write_bytes(data)
        records.append(record.record())
    path.write_text(json.dumps(records))


def is_read(podman: Podman, image: OddImage) -> bool:
    """Whether podman can inspect the image."""
    try:
        found = podman.inspect(image.id)
    except CommandError:
        return False
    return bool(found["Id"] == image.id)


def as_dir(world: World, image: OddImage, where: Path) -> str:
    """Writes the image for skopeo's dir: transport, which takes any manifest; returns the
    reference."""
    where.mkdir()
    (where / "version").write_text("Directory Transport Version: 1.1\n")
    (where / "manifest.json").write_bytes(image.manifest)
    (where / image.id).write_bytes(image.config)
    layer = world.layout.blob_path(world.base.digest)
    (where / layer.name).write_bytes(layer.read_bytes())
    return f"dir:{where}"


@pytest.mark.parametrize("docker", FAMILIES, ids=["oci", "docker"])
def test_podman_starts_an_image_with_every_field(
    world: World, tmp_path: Path, docker: bool
) -> None:
    """In each spelling; they are imported, all in one store, and podman lists that."""
    images = [right(world.base, docker, spelling) for spelling in SPELLINGS]
    for number, image in enumerate(images):
        reference = as_dir(world, image, tmp_path / f"image{number}")
        imported(world.repo, "--branch=right", f"localhost/right{number}:1={reference}")
        store = loose(world.repo, "right", tmp_path / f"store{number}")
        podman = new_podman(tmp_path / "podman", store.path)
        assert [found["Id"] for found in podman.images()] == [image.id]
        assert is_read(podman, image)
        assert podman.run(image.id).strip() == "started"


def test_podman_reads_docker_images_that_call_their_config_otherwise(
    world: World, tmp_path: Path
) -> None:
    for number, named in enumerate(OLD_CONFIG_TYPES):
        plain = edited(f"old {number}", world.base, docker=True)
        config = {"digest": digest_of(plain.config), "size": len(plain.config), **named}
        image = edited(f"old {number}", world.base, docker=True, config=config)
        reference = as_dir(world, image, tmp_path / f"image{number}")
        imported(world.repo, "--branch=old-types", f"localhost/old{number}:1={reference}")
    store = loose(world.repo, "old-types", tmp_path / "store")
    podman = new_podman(tmp_path / "podman", store.path)
    assert podman.run(image.id).strip() == "started"


def test_how_podman_reads_keys(world: World, tmp_path: Path) -> None:
    """In any case, of two the last one, and fields that it does not know not at all."""
    plain = right(world.base, docker=False, spelling="missing")
    odd = b'{"labels": {"a": "1"}, "User": "1", "User": "2", "Other": 5}'
    config = plain.config.replace(b'{"Cmd":["/bin/echo","started"]}', odd)
    assert config != plain.config
    manifest = json.loads(plain.manifest)
    manifest["config"] |= {"digest": digest_of(config), "size": len(config)}
    image = OddImage("keys", json.dumps(manifest).encode(), config)
    found = alone(world, image, tmp_path / "store").inspect(image.id)
    assert (found["Labels"], found["User"]) == ({"a": "1"}, "2")


def test_half_of_a_surrogate_pair(world: World, tmp_path: Path) -> None:
    """Go reads it as U+FFFD, and so do we, wherever an image is shown."""
    plain = right(world.base, docker=False, spelling="missing")
    document = json.loads(plain.config)
    history = [{"created_by": "half \ud800 of it"}]
    config = json.dumps(document | {"history": history, "variant": "\udfff"}).encode()
    manifest = json.loads(plain.manifest)
    manifest["config"] |= {"digest": digest_of(config), "size": len(config)}
    image = OddImage("half", json.dumps(manifest).encode(), config)
    reference = as_dir(world, image, tmp_path / "image")
    imported(world.repo, "--branch=half", f"localhost/half:1={reference}")
    store = loose(world.repo, "half", tmp_path / "store")
    podman = new_podman(tmp_path / "podman", store.path)
    shown = podman("history", "--no-trunc", "--format={{.CreatedBy}}", image.id)
    assert "half \ufffd of it" in shown
    report = ["report", f"--output={tmp_path}/report.html", "half"]
    for command in (["show", image.id, "--branch=half"], report, ["list", "half"]):
        outcome = image_store(world.repo, *command)
        assert outcome.status == 0, outcome.stderr
    assert "half \ufffd of it" in image_store(world.repo, "show", image.id, "--branch=half").stdout


def alone(world: World, image: OddImage, where: Path) -> Podman:
    """Returns a podman whose store has this image and no other: podman looks at the others that
    have an image's layer, and fails if one of these is odd."""
    where.mkdir()
    for name in ("overlay", "overlay-layers"):
        (where / name).symlink_to(world.store.path / name)
    (where / "overlay-images").mkdir()
    (where / "overlay-images/images.lock").touch()
    (where / "overlay-images/images.json").write_text("[]")
    write_images(where, world.layer, [image])
    return new_podman(world.repo.parent / "podman", where)


def test_podman_reads_no_field_of_another_type(world: World, tmp_path: Path) -> None:
    fine = [right(world.base, docker, spelling) for docker in FAMILIES for spelling in SPELLINGS]
    images = [image for docker in FAMILIES for image in wrong(world.base, docker)]
    images += mixed(world.base)
    read = [
        image.name
        for number, image in enumerate([*fine, *images])
        if is_read(alone(world, image, tmp_path / str(number)), image)
    ]
    assert [name for name in read if name != ZSTD] == [image.name for image in fine]
    assert (ZSTD in read) == (podman_version() >= (5, 7))


def podman_version() -> tuple[int, ...]:
    """The version's first two numbers."""
    text = run(["podman", "version", "--format={{.Client.Version}}"])
    return tuple(int(number) for number in text.split(".")[:2])


@pytest.mark.parametrize("docker", FAMILIES, ids=["oci", "docker"])
def test_skopeo_reads_no_field_of_an_index_of_another_type(
    world: World, tmp_path: Path, docker: bool
) -> None:
    image = right(world.base, docker, "missing")
    where = Path(as_dir(world, image, tmp_path / "image").partition(":")[2])
    member = where / f"{Digest.of(image.manifest).hex}.manifest.json"
    (where / "manifest.json").rename(member)
    fine = [right_index(image.manifest, docker, spelling) for spelling in SPELLINGS]
    read = [
        index.name
        for index in [*fine, *wrong_indexes(image.manifest, docker)]
        if skopeo_reads(where, index)
    ]
    assert read == [index.name for index in fine]


def skopeo_reads(where: Path, index: OddIndex) -> bool:
    """Whether skopeo finds the image by this index."""
    (where / "manifest.json").write_bytes(index.raw)
    try:
        run(["skopeo", "--override-arch=amd64", "inspect", "--no-tags", f"dir:{where}"])
    except CommandError:
        return False
    return True


def test_one_such_image_spoils_the_whole_store(world: World, tmp_path: Path) -> None:
    store = copy(world.store, tmp_path / "store")
    podman = new_podman(tmp_path / "podman", store.path)
    assert [image["Id"] for image in podman.images()] == [world.good]
    write_images(store.path, world.layer, [next(wrong(world.base, docker=False))])
    with pytest.raises(CommandError):
        podman.images()


def test_an_import_refuses_the_image(world: World, tmp_path: Path) -> None:
    """A line with the field's name, and a hint with the reason."""
    image = next(one for one in wrong(world.base, docker=False) if "Labels.a" in one.name)
    outcome = run_import(world.repo, "--branch=wrong", as_dir(world, image, tmp_path / "image"))
    assert outcome.status == 1
    assert "config.Labels['a'] is the number 5, not a string" in outcome.stderr
    assert "podman" in outcome.said("hint")[0]


def test_a_store_that_has_one(world: World, tmp_path: Path) -> None:
    """verify finds the image, list shows it, remove takes it out."""
    odd = [one for one in wrong(world.base, docker=True) if "Labels.a" in one.name]
    odd += mixed(world.base)
    store = copy(world.store, tmp_path / "store")
    write_images(store.path, world.layer, odd)
    commit(store, world.repo, "old")
    verified = image_store(world.repo, "verify", "old", "--json")
    assert verified.status == 1
    (branch,) = verified.document["branches"]
    faulty = {one for finding in branch["findings"] for one in finding["images"]}
    assert len(faulty) == len(odd)
    assert all("odd" in one for one in faulty)
    listed = answered(world.repo, "list", "old")["images"]
    assert {one["image_id"] for one in listed} == {world.good, *(one.id for one in odd)}
    answered(world.repo, "remove", "--branch=old", *(one.id for one in odd))
    assert answered(world.repo, "verify", "old")["ok"]
