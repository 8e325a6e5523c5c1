"""import-storage of Docker's overlay2, written to its format from what podman unpacked."""

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.images import definition
from tests.tools.dockerd import dockerd
from tests.tools.dockerroot import docker_from_podman, layer_diff, layer_home
from tests.tools.expected import checked_out_store
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import NOBODY, imported, imported_storage, run_storage
from tests.tools.ostreerepo import fsck, heads
from tests.tools.podman import Podman, new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot

pytestmark = pytest.mark.root

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "images"
NAMES = ("deletions", "opaque-recreated")


@dataclass(frozen=True)
class Docker:
    """A Docker root; nobody may change it."""

    root: Path
    podman: Podman
    references: dict[str, str]
    built: dict[str, BuiltImage]


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Docker:
    """Two images, named as Docker names those of docker.io."""
    home = tmp_path_factory.mktemp("docker")
    built = {
        name: build_oci(home / "layout", name, definition.load(FIXTURES / f"{name}.layers"))
        for name in NAMES
    }
    podman = new_podman(home / "podman")
    references = {name: registry.push(one, f"docker/{name}:1") for name, one in built.items()}
    podman("pull", "--quiet", "--tls-verify=false", *references.values())
    one, two = (f"sha256:{built[name].image_id}" for name in NAMES)
    names = {
        "first": {"first:1": one, f"first@{built[NAMES[0]].digest}": one},
        "quay.io/a/second": {"quay.io/a/second:latest": two},
        "me/second": {"me/second:x": two},
    }
    root = docker_from_podman(podman.home / "root", home / "docker", names)
    return Docker(root, podman, references, built)


@pytest.fixture
def root(docker: Docker, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    run(["cp", "-a", docker.root, tmp_path / "docker"])
    return tmp_path / "docker"


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_are_the_registry_s(docker: Docker, tmp_path: Path, name: str) -> None:
    imported(tmp_path / "registry", "--form=layers", docker.references[name])
    imported_storage(tmp_path / "docker", docker.root)
    assert heads(tmp_path / "registry").items() <= heads(tmp_path / "docker").items()
    fsck(tmp_path / "docker")


def test_names_ids_and_what_cannot_be_kept(docker: Docker, repo: Path) -> None:
    outcome = run_storage(repo, "--json", docker.root)
    found = {image["image_id"]: image for image in outcome.document["images"]}
    one, two = (docker.built[name] for name in NAMES)
    assert found[one.image_id]["names"] == ["docker.io/library/first:1"]
    assert found[two.image_id]["names"] == ["docker.io/me/second:x", "quay.io/a/second:latest"]
    assert found[one.image_id]["reference"] == "docker.io/library/first:1"
    lost = f"docker.io/library/first@{one.digest}: not kept, since Docker keeps no manifests"
    assert lost in outcome.stderr.splitlines()
    # The manifest lists the tars, so their sizes and digests are the uncompressed ones.
    layers = found[one.image_id]["layers"]
    assert [layer["digest"] for layer in layers] == list(one.diff_ids)
    tars = [gzip.decompress(one.read(layer)) for layer in one.layers]
    assert [layer["size"] for layer in layers] == [len(tar) for tar in tars]


@pytest.mark.parametrize(
    "name", ["first:1", "docker.io/library/first:1", "me/second:x", "quay.io/a/second", "id"]
)
def test_an_image_is_chosen(docker: Docker, repo: Path, name: str) -> None:
    wanted = docker.built[NAMES[0] if "first" in name or name == "id" else NAMES[1]]
    text = wanted.image_id[:14] if name == "id" else name
    found = imported_storage(repo, docker.root, text)
    assert [image["image_id"] for image in found["images"]] == [wanted.image_id]


def test_the_digest_that_docker_remembers_chooses_too(docker: Docker, repo: Path) -> None:
    one = docker.built[NAMES[0]]
    found = imported_storage(repo, docker.root, f"docker.io/library/first@{one.digest}")
    assert [image["names"] for image in found["images"]] == [["docker.io/library/first:1"]]


def test_podman_starts_from_it(docker: Docker, tmp_path: Path) -> None:
    branch = imported_storage(tmp_path / "repo", docker.root)["branch"]
    store = checked_out_store(tmp_path / "repo", branch, tmp_path / "os")
    podman = new_podman(tmp_path / "podman", store)
    image = docker.built["deletions"].image_id
    with docker.podman.mounted(image) as mounted:
        theirs = snapshot(mounted)
    with podman.mounted("docker.io/library/first:1") as mounted:
        assert_same(snapshot(mounted), theirs, ("ours", "podman's"))
    assert podman.inspect("quay.io/a/second")["Id"] == docker.built["opaque-recreated"].image_id
    # All that an export needs is there: the manifest made up, and the tars.
    target = f"dir:{tmp_path / 'dir'}"
    podman("push", "--quiet", "docker.io/library/first:1", target)
    manifest = json.loads((tmp_path / "dir" / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == f"sha256:{image}"


def test_the_tree_is_only_read(docker: Docker, tmp_path: Path) -> None:
    before = snapshot(docker.root, ignore_xattrs=())
    imported_storage(tmp_path / "repo", docker.root)
    assert snapshot(docker.root, ignore_xattrs=()) == before


def test_a_changed_file_is_named(docker: Docker, root: Path, repo: Path) -> None:
    base = docker.built["deletions"].diff_ids[:1]
    (layer_diff(root, base) / "etc/keep").write_text("evil\n")
    outcome = run_storage(repo, root, "first:1")
    assert outcome.status == 1
    assert f"layer {base[0]}: etc/keep: the file's content" in outcome.said("error")[0]


@pytest.mark.parametrize("missing", ["cache-id", "directory", "layerdb"])
def test_a_missing_layer(docker: Docker, root: Path, repo: Path, missing: str) -> None:
    diff_ids = docker.built["deletions"].diff_ids
    if missing == "directory":
        shutil.rmtree(layer_diff(root, diff_ids))
    elif missing == "cache-id":
        (layer_home(root, diff_ids) / "cache-id").unlink()
    else:
        shutil.rmtree(layer_home(root, diff_ids))
    outcome = run_storage(repo, root, "first:1")
    assert outcome.status == 1
    assert "not all of its layers" in outcome.said("error")[0]
    found = imported_storage(repo, root)
    assert [one["image_id"] for one in found["images"]] == [docker.built[NAMES[1]].image_id]


def test_a_changed_config_is_found(docker: Docker, root: Path, repo: Path) -> None:
    image = docker.built["deletions"].image_id
    config = root / "image/overlay2/imagedb/content/sha256" / image
    config.write_bytes(config.read_bytes() + b"\n")
    outcome = run_storage(repo, root, "first:1")
    assert outcome.status == 1
    assert "the config has digest" in outcome.said("error")[0]


@pytest.mark.parametrize("content", ["", "{}"])
def test_a_broken_config_is_not_in_the_way_of_other_images(
    docker: Docker, root: Path, repo: Path, content: str
) -> None:
    """A file without content is what is left of it where the power went away."""
    image = docker.built["deletions"].image_id
    (root / "image/overlay2/imagedb/content/sha256" / image).write_text(content)
    assert run_storage(repo, root, "first:1").status == 1
    outcome = run_storage(repo, "--json", root)
    assert "docker.io/library/first:1: the config" in outcome.stderr
    found = [one["image_id"] for one in outcome.document["images"]]
    assert found == [docker.built[NAMES[1]].image_id]


def test_a_tree_without_records_is_taken_as_it_is(
    docker: Docker, root: Path, tmp_path: Path
) -> None:
    for record in root.rglob("tar-split.json.gz"):
        record.unlink()
    outcome = run_storage(tmp_path / "repo", "--json", root)
    assert outcome.stderr.count("no tar-split record") == 6
    layers = [layer for image in outcome.document["images"] for layer in image["layers"]]
    assert all(layer["verified"] is False for layer in layers)
    store = checked_out_store(tmp_path / "repo", outcome.document["branch"], tmp_path / "os")
    podman = new_podman(tmp_path / "podman", store)
    for name, image in (("first:1", "deletions"), ("quay.io/a/second", "opaque-recreated")):
        with docker.podman.mounted(docker.built[image].image_id) as mounted:
            theirs = snapshot(mounted)
        with podman.mounted(name) as mounted:
            assert_same(snapshot(mounted), theirs, ("ours", "podman's"))


def test_an_image_without_a_name(docker: Docker, root: Path, repo: Path) -> None:
    (root / "image/overlay2/repositories.json").unlink()
    found = imported_storage(repo, root)
    assert [image["names"] for image in found["images"]] == [[], []]
    references = {image["reference"] for image in found["images"]}
    assert references == {f"docker-daemon:sha256:{docker.built[n].image_id}" for n in NAMES}


def test_without_root_where_it_can_be_read(docker: Docker, unprivileged: Path) -> None:
    run(["cp", "-a", docker.root, unprivileged / "docker"])
    run(["chown", "-R", "65534:65534", unprivileged / "docker"])
    ours = ("--branch=os/store", unprivileged / "docker")
    outcome = run_storage(unprivileged / "repo", *ours, wrapper=NOBODY)
    as_root = run_storage(unprivileged / "root", "--branch=os/store", docker.root)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == as_root.stdout


def test_a_real_docker_that_was_switched_to_the_containerd_store(
    docker: Docker, tmp_path: Path, repo: Path
) -> None:
    """What is left out is told, and the way that the message names keeps its name and digest."""
    root, saved = tmp_path / "switched", tmp_path / "saved.tar"
    old, new = (f"oci:{docker.built[name].directory}:{name}" for name in NAMES)
    with dockerd(root) as before:
        before.load(old, "old:1")
        daemon = {"DOCKER_HOST": before.host}
        fetched = imported(tmp_path / "fetched", "docker-daemon:old:1", env=daemon)
    with dockerd(root, containerd=True) as after:
        after.load(new, "new:1")
        after("save", f"--output={saved}", "new:1")
        digest = after.images()["new:1"]
    outcome = run_storage(repo, "--json", root)
    assert [one["names"] for one in outcome.document["images"]] == [["docker.io/library/old:1"]]
    assert "the containerd image store too; the images there are left out" in outcome.stderr
    assert [one["image_id"] for one in fetched["images"]] == [
        one["image_id"] for one in outcome.document["images"]
    ]
    name = "docker.io/library/new:1"
    (image,) = imported(tmp_path / "new", f"{name}=oci-archive:{saved}")["images"]
    assert (image["names"], image["digest"]) == ([name], digest)
