"""Images made in the future: their time must not keep devices from later upgrades."""

from pathlib import Path

import pytest

from tests.tools.httpserver import http_server
from tests.tools.image import CREATED, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.importrelease import run_release
from tests.tools.ostreerepo import init, ostree
from tests.tools.releaseworld import World, write
from tests.tools.tarbuild import Entry

FUTURE = "9999-12-31T23:59:59Z"
EPOCH = "1970-01-01 00:00:00 +0000"
THEN = CREATED.replace("T", " ").replace("Z", " +0000")


def timestamp(repo: Path, ref: str) -> str:
    (line,) = [line for line in ostree(repo, "show", ref).splitlines() if line.startswith("Date:")]
    return line.removeprefix("Date:").strip()


@pytest.fixture
def references(layout: Path) -> list[str]:
    """An image of the past, one of the future, and a later one of the past."""
    times = {"past": CREATED, "future": FUTURE, "later": "2024-07-08T09:10:11Z"}
    for name, created in times.items():
        build_oci(layout, name, [[Entry(name.encode())]], created=created)
    return [f"oci:{layout}:{name}" for name in times]


def test_an_image_of_the_future_does_not_count(repo: Path, references: list[str]) -> None:
    outcome = run_import(repo, "--branch=os/b", *references[:2])
    assert outcome.status == 0, outcome.stderr
    assert timestamp(repo, "os/b") == THEN
    assert "future: made in the future, 9999-12-31T23:59:59Z; this does not" in outcome.stderr
    assert "1970-01-01" not in outcome.stderr
    outcome = run_import(repo, "--branch=os/c", references[1])
    assert timestamp(repo, "os/c") == EPOCH
    assert "the commit's time is 1970-01-01, since no image and no base" in outcome.stderr
    assert "set the time by --timestamp" in outcome.stderr
    outcome = run_import(repo, "--branch=os/d", "--timestamp=@5", references[1])
    assert "future" not in outcome.stderr.replace("layout:future", "")
    assert imported(repo, "--branch=os/b", *references[:2])["unchanged"] is True


def test_devices_take_upgrades_after_one(tmp_path: Path, references: list[str]) -> None:
    """By their own check, with the branch's image of the future gone again."""
    build, device = init(tmp_path / "build", "archive"), init(tmp_path / "device", "bare-user")
    with http_server(build) as url:
        ostree(device, "remote", "add", "--no-gpg-verify", "origin", url)
        for chosen in (references[:2], [*references[:1], references[2]]):
            imported(build, "--branch=os/b", *chosen)
            ostree(device, "pull", "--timestamp-check", "origin", "os/b")
    assert timestamp(device, "origin:os/b") == "2024-07-08 09:10:11 +0000"


def test_a_branch_that_is_in_the_future_stays_acceptable(
    tmp_path: Path, references: list[str]
) -> None:
    """An older version's, or another tool's commit: devices have it, and take nothing older."""
    build, device = init(tmp_path / "build", "archive"), init(tmp_path / "device", "bare-user")
    with http_server(build) as url:
        ostree(device, "remote", "add", "--no-gpg-verify", "origin", url)
        imported(build, "--branch=os/b", "--timestamp=9999-12-31T23:59:59Z", references[0])
        ostree(device, "pull", "--timestamp-check", "origin", "os/b")
        imported(build, "--branch=os/b", references[2])
        ostree(device, "pull", "--timestamp-check", "origin", "os/b")
    assert timestamp(device, "origin:os/b") == "9999-12-31 23:59:59 +0000"
    assert imported(build, "--branch=os/b", references[2])["unchanged"] is True


def test_a_component_of_the_future_does_not_count(
    repo: Path, world: World, layout: Path, tmp_path: Path
) -> None:
    past = build_oci(layout, "past", [[Entry(b"p")]])
    future = build_oci(layout, "future", [[Entry(b"f")]], created=FUTURE)
    names = {
        name: world.registry.push(one, f"time/{name}:t")
        for name, one in {"past": past, "future": future}.items()
    }
    file = write(tmp_path / "r.json", {"release": {"base": "1"}, "images": names})
    outcome = run_release(repo, file, "--branch=r")
    assert outcome.status == 0, outcome.stderr
    assert timestamp(repo, "r") == THEN
    assert "made in the future" in outcome.stderr
