"""--creds reaches one registry, the one that the command line names, and nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import patience
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Run, imported, run_import
from tests.tools.importrelease import failed, released
from tests.tools.nightly import Nightlies
from tests.tools.registry import Registry
from tests.tools.releaseworld import World
from tests.tools.session import members
from tests.tools.tarbuild import Entry

CREDS = "--creds=user:not-to-be-seen"


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with Registry(auth=("user", "not-to-be-seen")) as running:
        yield running


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")]])


def test_they_are_refused_for_two_registries(
    repo: Path, registry: Registry, locked: Registry, image: BuiltImage
) -> None:
    """The second one would see what the first one's user trusted the first one with."""
    names = locked.push(image, "creds:t"), registry.push(image, "creds:t")
    registry.requests()
    outcome = run_import(repo, CREDS, *names)
    assert outcome.status == 1
    (error,) = outcome.said("error")
    assert all(name in error for name in (locked.host, registry.host))
    assert "--authfile" in outcome.said("hint")[0]
    assert registry.requests() == []


def test_they_reach_the_registry_beside_another_transport(
    repo: Path, locked: Registry, image: BuiltImage
) -> None:
    reference = locked.push(image, "creds:t")
    found = imported(repo, CREDS, reference, f"oci:{image.directory}:t", "--branch=both")
    assert len(found["images"]) == 2


def test_no_process_shows_them(repo: Path, locked: Registry, image: BuiltImage) -> None:
    """Neither skopeo's arguments nor its environment; ours are the user's own affair."""
    reference = locked.push(image, "creds:t")
    with FaultyProxy(locked.url) as between:
        fault = between.add(Fault(image.layers[0].digest, "stall"))
        running = Run(repo, CREDS, between.through(reference))
        assert fault.reached.wait(patience.SECONDS)
        shown = [_shown(int(one.split()[0])) for one in members(running.process.pid)]
        fault.go_on.set()
        assert running.finish().status == 0
    assert any("experimental-image-proxy" in text for text in shown)
    assert [text for text in shown if "not-to-be-seen" in text and "skopeo" in text] == []


def _shown(pid: int) -> str:
    """What ps shows of a process, but for our own command line."""
    parts = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    own = b"import-image" in parts[0].partition(b"\0--")[0]
    return "" if own else b" ".join(parts).decode("utf-8", "replace")


# -- import-release --


def test_a_release_file_may_not_have_them(repo: Path, tmp_path: Path) -> None:
    """Whoever wrote the file would choose who gets them."""
    file = tmp_path / "release.json"
    file.write_text(json.dumps({"release": {"base": "1"}, "images": {"a": "evil.example.org/a:b"}}))
    outcome = failed(repo, CREDS, file, "--branch=x")
    assert "names none" in outcome.said("error")[0]
    assert "--authfile" in outcome.said("hint")[0]
    outcome = failed(repo, CREDS, "--stream=x", "--branch=x")
    assert "names none" in outcome.said("error")[0]


def test_a_payload_may_have_them_for_its_own_registry(
    repo: Path, locked: Registry, tmp_path: Path
) -> None:
    nightly = Nightlies(locked, tmp_path / "layout").push("4.20.0")
    document = released(repo, CREDS, nightly.pullspec, "--branch=x")
    assert len(document["releases"][0]["images"]) == len(nightly.images)


def test_a_payload_may_not_send_them_elsewhere(repo: Path, world: World, locked: Registry) -> None:
    """The payload is in the registry that was named; its images are in another one."""
    reference = locked.push(world.first.payload, "payload:t")
    world.registry.requests()
    outcome = failed(repo, CREDS, reference, "--branch=x")
    (error,) = outcome.said("error")
    assert f"has images in {world.registry.host}" in error
    assert world.registry.requests() == []
