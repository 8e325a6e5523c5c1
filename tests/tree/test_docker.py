"""A device that runs Docker: its real store, committed, deployed, and a second daemon upon it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.device import new_device
from tests.tools.dockerd import OF_A_CONTAINER, Docker, dockerd
from tests.tools.dockerroot import chain_ids
from tests.tools.expected import layer_ids
from tests.tools.httpserver import http_server
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.listedimages import IMAGES
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import fsck, init, ls, ostree
from tests.tools.process import run
from tests.tools.snapshot import Snapshot, assert_same, snapshot
from tests.tools.treecommit import BRANCH, imported_tree
from tests.tools.umoci import unpack

pytestmark = pytest.mark.root

NAMES = tuple(IMAGES)
PLACE = "usr/lib/docker"


@dataclass(frozen=True)
class Deployed:
    """A Docker store, its commit upon an OS, and the store as a device has it."""

    built: dict[str, BuiltImage]
    repo: Path
    source: Path
    store: Path
    ids: dict[str, str]
    document: dict[str, object]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Two images with deletions, loaded into a real Docker whose store is then an OS's."""
    home = tmp_path_factory.mktemp("docker")
    built = {name: build_oci(home / "layout", name, layers) for name, layers in IMAGES.items()}
    source = home / "source"
    source.mkdir(parents=True)
    with dockerd(source) as docker:
        for name in NAMES:
            docker.load(f"oci:{home}/layout:{name}", f"test/{name}:1")
        ids = docker.images()
    repo = init(home / "repo", "archive")
    commit_os(repo, "os/base", os_tree(home / "base"))
    document = imported_tree(repo, "--onto=os/base", f"--prefix=/{PLACE}", source)
    fsck(repo)
    with http_server(repo) as url:
        device = new_device(home / "device", url)
        device.pull(BRANCH)
        device.deploy(BRANCH)
    store = device.current.resolve() / PLACE
    yield Deployed(built, repo, source, store, ids, document)
    shutil.rmtree(home)


def exported(docker: Docker, name: str, where: Path) -> Snapshot:
    """The tree of an image, without what Docker adds for a container."""
    found = snapshot(docker.export(f"test/{name}:1", where))
    return {path: node for path, node in found.items() if path.decode() not in OF_A_CONTAINER}


def expected(deployed: Deployed, name: str, where: Path) -> Snapshot:
    """The image's tree as umoci unpacks it."""
    found = snapshot(unpack(deployed.built[name].directory, name, where))
    return {path: node for path, node in found.items() if path.decode() not in OF_A_CONTAINER}


def layer_of(source: Path, diff_id_chain: str) -> str:
    """The directory of a layer of Docker's, by its chainID."""
    return (source / "image/overlay2/layerdb/sha256" / diff_id_chain / "cache-id").read_text()


def check_images(deployed: Deployed, data_root: Path, tmp_path: Path) -> None:
    """A daemon upon the data root lists the images, and shows what umoci unpacks."""
    with dockerd(data_root) as docker:
        assert docker.images() == deployed.ids
        for name in NAMES:
            ours = exported(docker, name, tmp_path / name)
            theirs = expected(deployed, name, tmp_path / f"umoci-{name}")
            del ours[b"."], theirs[b"."]  # the tar of an export has no root
            assert_same(ours, theirs, ("docker export", "umoci"))


def test_whiteouts_are_in_the_commit_and_the_block_device_is_not(deployed: Deployed) -> None:
    names = ls(deployed.repo, BRANCH)
    assert any("/.ostree-wh." in name for name in names)
    assert not any(name.endswith("backingFsBlockDev") for name in names)
    assert deployed.document["opaque_kept"] == 0
    assert deployed.document["opaque_expanded"] != 0


def test_every_layer_is_the_one_of_the_registry(deployed: Deployed, tmp_path: Path) -> None:
    """The layers' directories are those that import-image makes of the layers' tars."""
    repo = init(tmp_path / "repo")
    for name in NAMES:
        built = deployed.built[name]
        imported(repo, "--form=layers", f"oci:{built.directory}:{name}")
        chains = chain_ids(built.diff_ids)
        for chain, layer_id in zip(chains, layer_ids(built.diff_ids), strict=True):
            cache = layer_of(deployed.source, chain)
            ours = ostree(
                deployed.repo, "ls", "-d", "-C", BRANCH, f"/{PLACE}/overlay2/{cache}/diff"
            )
            theirs = ostree(repo, "ls", "-d", "-C", f"oci/layer/{layer_id}", "/")
            assert ours.split()[4] == theirs.split()[4]  # the dirtrees; the roots' modes differ


def test_a_copy_of_the_store_works(deployed: Deployed, tmp_path: Path) -> None:
    # Files of the same content are one file in a deployment; Docker writes to two databases that
    # begin alike, and locks both.
    copy = ["cp", "-a", "--no-preserve=links"]
    run([*copy, deployed.store, tmp_path / "data"])
    check_images(deployed, tmp_path / "data", tmp_path)


def test_a_writable_root_with_links_to_the_layers_works(deployed: Deployed, tmp_path: Path) -> None:
    """docs/how-to/docker.md: all is copied but the layers' files, to which links lead."""
    store, data = tmp_path / "store", tmp_path / "data"
    store.mkdir()
    run(["mount", "--bind", "-o", "ro", deployed.store, store])  # as /usr is on a device
    try:
        excluded = "--exclude=./overlay2/*/diff/*"
        data.mkdir()
        run(
            [
                "sh",
                "-c",
                f"tar -C {store} --hard-dereference {excluded} -cf - . | tar -C {data} -xpf -",
            ]
        )
        for diff in (data / "overlay2").glob("*/diff"):
            diff.rmdir()
            diff.symlink_to(store / "overlay2" / diff.parent.name / "diff")
        check_images(deployed, data, tmp_path)
        with dockerd(data) as docker:
            docker("rmi", "test/opaque:1")
            assert docker.images().keys() == {"test/deletions:1"}
        assert list(store.glob("overlay2/*/diff/app"))  # the links went, and not what they lead to
    finally:
        run(["umount", store])


def test_docker_does_not_start_upon_a_read_only_store(deployed: Deployed, tmp_path: Path) -> None:
    run(["mount", "--bind", "-o", "ro", deployed.store, tmp_path])
    refused = pytest.raises(AssertionError, match="read-only file system")
    try:
        with refused, dockerd(tmp_path):
            pass
    finally:
        while tmp_path.is_mount():
            run(["umount", "--recursive", tmp_path])


def test_docker_refuses_an_overlay_above_the_store(deployed: Deployed, tmp_path: Path) -> None:
    """And rightly: the overlay has eaten the whiteouts."""
    for name in ("upper", "work", "data"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={deployed.store},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    whiteouts = [p for p in deployed.store.rglob("*") if p.is_char_device()]
    assert whiteouts
    run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "data"])
    try:
        for path in whiteouts:
            assert not os.path.lexists(tmp_path / "data" / path.relative_to(deployed.store))
        refused = pytest.raises(AssertionError, match="overlay")
        with refused, dockerd(tmp_path / "data"):
            pass
    finally:
        if (tmp_path / "data").is_mount():  # the daemon's end may have taken it along
            run(["umount", "--recursive", tmp_path / "data"])
