"""`image-store export` of several images: a layout or an archive that other tools load whole."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.dockerd import dockerd
from tests.tools.entry import Entry
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.storecommand import answered, image_store

NAMES = ["q.io/a/one:1", "q.io/a/two:1", "q.io/a/two:also"]


@dataclass(frozen=True)
class Site:
    """A repo with two images, on two branches; `archive` has both."""

    home: Path
    images: dict[str, BuiltImage]

    @property
    def repo(self) -> Path:
        return self.home / "repo"

    @property
    def archive(self) -> Path:
        return self.home / "all.tar"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("exported")
    lower = busybox_layer()
    images = {
        tag: build_oci(
            home / "images",
            tag,
            [lower, [Entry(b"version", content=tag.encode())]],
            config={"Cmd": ["cat", "/version"]},
        )
        for tag in ("one", "two")
    }
    made = Site(home, images)
    imported(made.repo, "--branch=first", f"q.io/a/one:1=oci:{home}/images:one")
    both = [f"q.io/a/two:{tag}=oci:{home}/images:two" for tag in ("1", "also")]
    imported(made.repo, "--branch=second", *both)
    document = answered(made.repo, "export", "--quiet", "--all", f"oci-archive:{made.archive}")
    assert document["path"] == str(made.archive)
    ids = {one["image_id"]: one["names"] for one in document["images"]}
    assert ids == {images["one"].image_id: NAMES[:1], images["two"].image_id: NAMES[1:]}
    return made


def index(layout: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found


def named(entries: list[dict[str, Any]], key: str) -> list[str]:
    return sorted(one["annotations"][key] for one in entries)


def test_an_archive_is_one_of_both_formats(site: Site, tmp_path: Path) -> None:
    """The same bytes each time: sorted, without times."""
    image_store(site.repo, "export", "--all", f"docker-archive:{tmp_path}/all.tar")
    assert (tmp_path / "all.tar").read_bytes() == site.archive.read_bytes()
    with tarfile.open(site.archive) as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    entries = index(tmp_path / "layout")
    assert named(entries, "org.opencontainers.image.ref.name") == NAMES
    assert named(entries, "io.containerd.image.name") == NAMES
    for name, tag in zip(NAMES, ("one", "two", "two"), strict=True):
        config = f"sha256:{site.images[tag].image_id}"
        for transport in ("oci-archive", "docker-archive"):
            raw = run(["skopeo", "inspect", "--raw", f"{transport}:{site.archive}:{name}"])
            assert json.loads(raw)["config"]["digest"] == config


@pytest.mark.root
def test_podman_loads_all_images(site: Site, tmp_path: Path) -> None:
    podman = new_podman(tmp_path / "podman")
    podman("load", f"--input={site.archive}")
    assert sorted({name for image in podman.images() for name in image["Names"]}) == NAMES
    assert [podman.run(name) for name in NAMES] == ["one", "two", "two"]


@pytest.mark.root
def test_docker_and_containerd_load_all_images(site: Site, tmp_path: Path) -> None:
    """k3s and RKE2 call containerd's own import for each archive in their directory."""
    with dockerd(tmp_path / "docker") as docker:
        docker("load", f"--input={site.archive}")
        ids = [f"sha256:{site.images[tag].image_id}" for tag in ("one", "two", "two")]
        assert docker.images() == dict(zip(NAMES, ids, strict=True))
        docker.ctr("images", "import", site.archive)
        assert sorted(docker.ctr("images", "list", "--quiet").split()) == NAMES
        for tag in ("one", "two"):
            assert docker.ctr("run", "--rm", "--cpu-shares=0", f"q.io/a/{tag}:1", tag) == tag


def test_a_layout_keeps_its_other_images(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "out"
    image_store(site.repo, "export", "one:1", f"oci:{out}:other")
    for _ in range(2):
        outcome = image_store(site.repo, "export", "one:1", "two:also", f"oci:{out}")
        assert outcome.status == 0, outcome.stderr
    assert "exporting layer" not in outcome.stderr
    assert named(index(out), "org.opencontainers.image.ref.name") == ["other", *NAMES]
    assert all(name in outcome.stdout for name in NAMES)


def test_an_image_has_its_names_of_all_branches(site: Site, tmp_path: Path) -> None:
    repo, out = tmp_path / "repo", tmp_path / "out"
    for name in ("one", "other"):
        imported(repo, f"--branch={name}", f"q.io/a/{name}:1=oci:{site.home}/images:one")
    image_store(repo, "export", "--all", f"oci:{out}")
    found = named(index(out), "org.opencontainers.image.ref.name")
    assert found == ["q.io/a/one:1", "q.io/a/other:1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all", "dir:out"], "dir:out has room for one image"),
        (["--all", "oci:out:tag"], "oci:out:tag has room for one image"),
        (["oci:out"], "name an IMAGE, or say --all"),
        (["--all", "one:1", "oci:out"], "exclude each other"),
        (["--all", "tar:out"], "is none of oci:DIR"),
    ],
)
def test_what_is_no_command_line(site: Site, arguments: list[str], said: str) -> None:
    outcome = image_store(site.repo, "export", *arguments)
    assert outcome.status == 2
    assert said in outcome.stderr


def test_images_that_cannot_be_exported(site: Site, tmp_path: Path) -> None:
    """A name of two images; a flattened image."""
    repo, to = tmp_path / "repo", f"oci-archive:{tmp_path}/all.tar"
    for tag in ("one", "two"):
        imported(repo, f"--branch={tag}", f"q.io/a:1=oci:{site.home}/images:{tag}")
    outcome = image_store(repo, "export", "--all", to)
    assert outcome.status == 1
    assert "two images have the name q.io/a:1\nhint: --branch" in outcome.stderr
    assert image_store(repo, "export", "--all", "--branch=one", to).status == 0
    imported(repo, "--branch=one", "--flatten", f"q.io/a:1=oci:{site.home}/images:one")
    outcome = image_store(repo, "export", "--all", "--branch=one", to)
    assert (outcome.status, "is flattened" in outcome.stderr) == (1, True)
    for place in (f"{tmp_path}", f"{tmp_path}/none/all.tar"):
        outcome = image_store(repo, "export", "--all", "--branch=two", f"oci-archive:{place}")
        assert outcome.status == 1
        assert "director" in outcome.stderr
        assert "exporting layer" not in outcome.stderr
