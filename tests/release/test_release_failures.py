"""Images that cannot be had: all are told, none is done twice, and no branch moves."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import build_oci
from tests.tools.importrelease import changes, failed, released, run_release
from tests.tools.nightly import Nightlies, Nightly
from tests.tools.ostreerepo import fsck, refs
from tests.tools.process import Argument
from tests.tools.registry import Registry
from tests.tools.releaseworld import World
from tests.tools.storecommand import image_store
from tests.tools.tarbuild import Entry


@dataclass(frozen=True)
class Broken:
    """A release with three broken components, in a registry that can be repaired."""

    registry: Registry
    nightly: Nightly
    files: dict[Path, bytes]

    def repair(self) -> None:
        for path, content in self.files.items():
            path.write_bytes(content)


@pytest.fixture
def broken(private_registry: Registry, tmp_path: Path) -> Broken:
    nightly = Nightlies(private_registry, tmp_path / "layout").push("4.20.0-broken")
    storage, images = private_registry.storage, nightly.images
    digests = {
        "cli": images["cli"].digest,
        "etcd": images["etcd"].layer_digests[-1],
        "pod": images["pod"].layer_digests[1],
    }
    files = {storage.path(one): storage.path(one).read_bytes() for one in digests.values()}
    storage.delete(digests["cli"])
    storage.corrupt(digests["etcd"])
    storage.truncate(digests["pod"])
    return Broken(private_registry, nightly, files)


def test_every_image_that_failed_is_reported_and_the_rest_is_not_done_twice(
    broken: Broken, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    outcome = failed(repo, broken.nightly.pullspec)
    said = outcome.said("error")
    assert [line.partition(":")[0] for line in said[:-1]] == [
        "component cli",
        "component etcd",
        "component pod",
    ]
    assert "manifest unknown" in said[0]
    assert said[-1] == "3 of 12 images cannot be imported; no branch was moved"
    assert outcome.said("hint")[-1] == "--keep-going commits the others"
    assert [ref for ref in refs(repo) if ref.startswith("oci/release")] == []
    fsck(repo)

    outcome = run_release(repo, broken.nightly.pullspec, "--keep-going", "--json")
    assert outcome.status == 3, outcome.stderr
    (part,) = outcome.document["releases"]
    assert list(part["failed"]) == ["cli", "etcd", "pod"]
    assert all(one["error"] for one in part["failed"].values())
    assert len(part["images"]) == 9
    assert "9 added, 0 removed, 0 unchanged, 3 failed" in outcome.stderr
    fsck(repo)

    broken.repair()
    broken.registry.requests()
    document = released(repo, broken.nightly.pullspec)
    fetched = set(broken.registry.blob_requests()) & broken.nightly.layers()
    assert fetched <= broken.nightly.layers("cli", "etcd", "pod")
    assert changes(document)["added"] == ["cli", "etcd", "pod"]


def test_many_wrong_references_have_a_line_each_and_one_hint(world: World, tmp_path: Path) -> None:
    host, listed = world.registry.host, tmp_path / "list"
    listed.write_text("".join(f"c{n} {host}/none/image{n}:1\n" for n in range(20)))
    outcome = failed(tmp_path / "repo", listed, "--release=r")
    said = outcome.said("error")
    for number, line in enumerate(said[:-1]):
        source = f"{host}/none/image{number}"
        assert line.startswith(f"component c{number}: docker://{source}:1: reading manifest 1 in ")
    assert said[-1] == "20 of 20 images cannot be imported; no branch was moved"
    assert len(outcome.said("hint")) == 1
    assert outcome.stderr.splitlines()[-2].startswith("hint: ")


def test_what_fails_for_several_architectures_is_told_for_each(
    world: World, tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"cli {world.registry.host}/ocp/art-dev:none\n")
    arches = ["--arch=amd64", "--arch=arm64"]
    arguments: list[Argument] = [listed, "--release=x", *arches, "--branch=x/{arch}"]
    said = failed(tmp_path / "repo", *arguments).said("error")
    assert [line.partition(":")[0] for line in said[:-1]] == [
        "component cli (amd64)",
        "component cli (arm64)",
    ]
    assert said[-1] == "2 of 2 images cannot be imported; no branch was moved"


@pytest.fixture
def shared(world: World, tmp_path: Path) -> tuple[str, str, str]:
    """Two images of one layer in two repositories, and the layer's digest."""
    layers = [[Entry(b"shared", content=b"shared\n" * 1000)]]
    built = build_oci(tmp_path / "layout", "shared", layers, architecture="amd64")
    names = [world.registry.push(built, f"shared/{name}") for name in "ab"]
    return names[0], names[1], built.layer_digests[0]


def test_what_breaks_off_is_tried_again(
    world: World, shared: tuple[str, str, str], tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    with FaultyProxy(world.registry.url) as proxy:
        listed.write_text(f"a {proxy.through(shared[0])}\n")
        arguments: list[Argument] = [listed, "--release=x", "--arch=amd64"]
        # skopeo itself goes on once where an answer broke off.
        proxy.faults.append(Fault(shared[2], "cut", after=10, times=2))
        outcome = run_release(tmp_path / "repo", *arguments, "--retry-times=1")
        assert outcome.status == 0, outcome.stderr
        assert "; trying again in 1 s" in outcome.stderr


def test_a_layer_comes_from_another_repository_if_one_is_broken(
    world: World, shared: tuple[str, str, str], tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    with FaultyProxy(world.registry.url) as proxy:
        listed.write_text(f"a {proxy.through(shared[0])}\nb {shared[1]}\n")
        proxy.faults.append(Fault(shared[2], "cut", after=10))
        outcome = run_release(tmp_path / "repo", listed, "--release=x", "--arch=amd64")
        assert outcome.status == 0, outcome.stderr
        assert "; another repository has it, too" in outcome.stderr
    assert image_store(tmp_path / "repo", "verify").status == 0


def test_a_registry_that_is_down_is_tried_again_and_then_told(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("a 127.0.0.1:1/a/b:1\nb 127.0.0.1:1/a/c:1\n")
    arguments: list[Argument] = [listed, "--release=x", "--retry-times=1", "--keep-going"]
    outcome = run_release(tmp_path / "repo", *arguments)
    assert outcome.status == 1
    assert outcome.said("error")[-1] == "2 of 2 images cannot be imported; no branch was moved"
    assert "connection refused" in outcome.said("error")[0]


def test_a_payload_is_asked_for_as_often_as_the_user_says(tmp_path: Path) -> None:
    outcome = run_release(tmp_path / "repo", "127.0.0.1:1/a/b:1", "--retry-times=1", "--dry-run")
    assert outcome.status == 1
    assert outcome.stderr.count("; trying again in") == 1
