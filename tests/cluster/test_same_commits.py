"""Layers read by the workers of a Dask cluster give the commits that one machine makes."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools import ostreerepo, patience
from tests.tools.dask import DaskCluster
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Run, imported, imported_storage, run_import
from tests.tools.importrelease import released
from tests.tools.ostreerepo import fsck, heads
from tests.tools.podman import Podman
from tests.tools.registry import Registry
from tests.tools.releaseworld import World
from tests.tools.tarbuild import Entry, opaque, whiteout

LAYERS = 6


def files(number: int) -> list[Entry]:
    """A layer with files, a large one, a link, and a deletion of what a lower layer has."""
    folder = b"d%d" % number
    made = [Entry(folder + b"/f%02d" % n, content=b"%d-%d" % (number, n)) for n in range(40)]
    large = Entry(folder + b"/large", content=b"%d" % number * (2 << 20))
    link = Entry(folder + b"/link", "symlink", link=b"large")
    gone = [whiteout(b"d%d/f00" % (number - 1))] if number else []
    again = [Entry(b"d0", "dir", mode=0o700), opaque(b"d0")] if number == 4 else []
    return [Entry(folder, "dir", mode=0o750), *made, large, link, *gone, *again]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        running.add(2)
        yield running


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image of several layers."""
    layout = tmp_path_factory.mktemp("image") / "layout"
    return build_oci(layout, "t", [files(number) for number in range(LAYERS)])


def without_readers(document: dict[str, Any]) -> dict[str, Any]:
    """The document as one machine prints it."""
    for image in document["images"]:
        for layer in image["layers"]:
            layer.pop("read_by", None)
    return document


def check_clean(repo: Path) -> None:
    """A sound repo, in which no worker's directory is left."""
    fsck(repo)
    assert [one.name for one in (repo / "tmp").iterdir() if one.name != "cache"] == []


def test_images_of_a_registry(
    registry: Registry, dask: DaskCluster, image: BuiltImage, tmp_path: Path
) -> None:
    """Every byte of the repo, and all of the JSON but which worker has read what."""
    reference = registry.push(image, "cluster:t")
    alone, repo = (ostreerepo.init(tmp_path / name, "archive") for name in ("alone", "repo"))
    expected = imported(alone, "--branch=os/images", reference)
    document = imported(repo, "--branch=os/images", f"--cluster={dask.address}", reference)
    read_by = [layer["read_by"] for layer in document["images"][0]["layers"]]
    assert all(one["worker"].startswith("tcp://127.0.0.1:") for one in read_by)
    assert all(one["seconds"] > 0 for one in read_by)
    assert without_readers(document) == expected
    assert heads(repo) == heads(alone)
    check_clean(repo)
    again = imported(repo, "--branch=os/images", "--cluster=tcp://127.0.0.1:1", reference)
    assert again["unchanged"]  # there was nothing to read, so nobody was asked


@pytest.mark.root
def test_a_store(
    registry: Registry, dask: DaskCluster, image: BuiltImage, podman: Podman, tmp_path: Path
) -> None:
    podman("pull", "--tls-verify=false", "-q", registry.push(image, "cluster:t"))
    graphroot = podman.home / "root"
    expected = imported_storage(tmp_path / "alone", "--branch=os/images", graphroot)
    flags = ["--branch=os/images", f"--cluster={dask.address}"]
    document = imported_storage(tmp_path / "repo", *flags, graphroot)
    assert all("read_by" in layer for layer in document["images"][0]["layers"])
    assert without_readers(document) == expected
    assert heads(tmp_path / "repo") == heads(tmp_path / "alone")
    check_clean(tmp_path / "repo")


def test_a_release(world: World, dask: DaskCluster, tmp_path: Path) -> None:
    """Two components of two architectures, which share the connection to the cluster."""
    arguments = [*world.serve(world.first), *world.serve(world.first_arm64)]
    flags = [f"--cluster={dask.address}", "--only=etcd", "--only=pod"]
    document = released(tmp_path / "repo", *flags, *arguments)
    layers = [
        layer
        for release in document["releases"]
        for image in release["images"]
        for layer in image["layers"]
    ]
    assert all(("read_by" in layer) == (not layer["cached"]) for layer in layers)
    known = heads(world.repo)
    made = {ref: head for ref, head in heads(tmp_path / "repo").items() if "release" not in ref}
    assert len(made) > 2
    assert made == {ref: known[ref] for ref in made}
    check_clean(tmp_path / "repo")


def test_workers_here(registry: Registry, image: BuiltImage, tmp_path: Path) -> None:
    """local:2 starts them, gives them credentials over TLS, and ends them."""
    reference = registry.push(image, "cluster:t")
    expected = imported(tmp_path / "alone", "--branch=os/images", reference)
    flags = ["--branch=os/images", "--cluster=local:2", "--creds=user:secret"]
    outcome = run_import(tmp_path / "repo", *flags, reference)
    assert outcome.status == 0, outcome.stderr
    # The first worker suffices to begin; the other one joins when it has started.
    begun = (
        r"cluster local:2: (1 worker for 1 layer|2 workers for 2 layers) at once; dashboard http://"
    )
    assert re.search(begun, outcome.stderr)
    assert heads(tmp_path / "repo") == heads(tmp_path / "alone")
    assert expected["commit"] == outcome.stdout.strip()
    assert "distributed" not in outcome.stderr
    check_clean(tmp_path / "repo")


def test_ctrl_c_ends_the_workers_here(registry: Registry, image: BuiltImage, repo: Path) -> None:
    """In the middle of a layer: neither a worker nor its skopeo is left."""
    registry.push(image, "cluster:t")
    with FaultyProxy(registry.url) as proxy:
        fault = proxy.add(Fault(image.layer_digests[1], "stall", after=1000, times=1))
        run = Run(repo, "--branch=os/images", "--cluster=local:1", f"{proxy.host}/cluster:t")
        assert fault.reached.wait(patience.SECONDS)
        run.send(signal.SIGINT)
        outcome = run.finish()
    assert outcome.status == -signal.SIGINT
    assert outcome.leftovers == []
