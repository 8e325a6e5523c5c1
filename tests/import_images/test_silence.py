"""A registry, or skopeo, that falls silent: the import gives up, says so, and frees the lock."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.errors import FetchError
from importer.pipe import patient_chunks
from importer.process import run_transfer
from tests.tools import patience
from tests.tools.faultyproxy import Action, Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Outcome, Run, imported, run_import
from tests.tools.ostreerepo import fsck
from tests.tools.registry import Registry
from tests.tools.session import members
from tests.tools.tarbuild import Entry

NOISE = os.urandom(3 << 20)
IMPATIENT = ("--timeout=1", "--retry-times=1")


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")], [Entry(b"noise", content=NOISE)]])


@pytest.fixture
def between(registry: Registry) -> Iterator[FaultyProxy]:
    with FaultyProxy(registry.url) as faulty:
        yield faulty


@pytest.fixture
def reference(registry: Registry, image: BuiltImage, between: FaultyProxy) -> str:
    return between.through(registry.push(image, "silent:t"))


def gave_up(outcome: Outcome, says: str) -> None:
    assert outcome.status == 1, outcome
    (error,) = outcome.said("error")
    assert says in error
    assert "--timeout=SECONDS" in "".join(outcome.said("hint"))
    assert "trying again in" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(("action", "after"), [("stall", 0), ("stall", 2 << 20), ("drip", 1)])
def test_a_blob_that_stops_coming(
    repo: Path, image: BuiltImage, between: FaultyProxy, reference: str, action: Action, after: int
) -> None:
    """The lock is free afterwards: the same import succeeds once the registry does."""
    blob = image.layers[1].digest
    fault = between.add(Fault(blob, action, after))
    gave_up(run_import(repo, *IMPATIENT, reference), "the registry has ")
    assert fault.times < (1 << 30) - 1, "it was not asked again"
    between.faults.clear()
    assert imported(repo, reference)["images"][0]["digest"] == image.digest


def test_what_comes_slowly_counts_as_silence() -> None:
    """800 bytes a second, which once was enough for a month."""
    loop = "for _ in range(20): os.write(1, bytes(400)); time.sleep(0.5)"
    program = [sys.executable, "-Sc", f"import os, time\n{loop}"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as slow:
        assert slow.stdout is not None
        chunks = patient_chunks(slow.stdout.fileno(), 2, "it")
        with pytest.raises(FetchError, match="it has sent fewer than 1000 bytes a second for 2 s"):
            list(chunks)
    with pytest.raises(FetchError, match=r" has sent fewer than 1000 bytes a second for 2 s"):
        run_transfer(program, pass_fds=(), timeout=2)


def test_a_blob_that_stops_coming_once_is_asked_for_again(
    repo: Path, image: BuiltImage, between: FaultyProxy, reference: str
) -> None:
    between.add(Fault(image.layers[1].digest, "stall", 100, times=1))
    outcome = run_import(repo, "--timeout=2", "--retry-times=5", reference)
    assert outcome.status == 0, outcome.stderr
    assert "trying again in 1 s" in outcome.stderr


@pytest.mark.parametrize(
    ("path", "action"),
    [("/v2/$", "mute"), ("/manifests/", "stall"), ("/manifests/", "drip"), ("config", "stall")],
)
def test_a_document_that_stops_coming(
    repo: Path, image: BuiltImage, between: FaultyProxy, reference: str, path: str, action: Action
) -> None:
    between.add(Fault(image.config.digest if path == "config" else path, action, 1))
    gave_up(run_import(repo, *IMPATIENT, reference), " for 1 s")
    between.faults.clear()
    assert imported(repo, reference)["images"][0]["digest"] == image.digest


@pytest.mark.parametrize(
    "script",
    ["exec sleep 1000", "exec sleep 1000 >&-", "echo '{'; exec sleep 1000"],
    ids=["says nothing", "closes its output", "says a little"],
)
def test_a_skopeo_that_neither_writes_nor_ends(repo: Path, tmp_path: Path, script: str) -> None:
    fake = tmp_path / "bin" / "skopeo"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    outcome = run_import(repo, *IMPATIENT, "r.example.org/a:b", env={"PATH": path})
    gave_up(outcome, "docker://r.example.org/a:b: skopeo ")


def test_a_skopeo_that_is_stopped(
    repo: Path, image: BuiltImage, between: FaultyProxy, reference: str
) -> None:
    """SIGSTOP, as a debugger or a full cgroup freezer sends it: it can be killed all the same."""
    fault = between.add(Fault(image.layers[1].digest, "stall", 100, times=1))
    running = Run(repo, "--timeout=2", "--retry-times=5", reference)
    assert fault.reached.wait(patience.SECONDS)
    found = [member.split() for member in members(running.process.pid)]
    stopped = [int(pid) for pid, name in found if name == "skopeo"]
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    fault.go_on.set()
    outcome = running.finish()
    assert outcome.status == 0, outcome.stderr
    assert "trying again in 1 s" in outcome.stderr
    assert outcome.leftovers == []


def test_a_process_of_ours_that_is_stopped_goes_on_when_it_may(
    repo: Path, image: BuiltImage, between: FaultyProxy, reference: str
) -> None:
    """All of them, for longer than the timeout: nothing is lost, and nothing is given up."""
    fault = between.add(Fault(image.layers[1].digest, "stall", 100, times=1))
    running = Run(repo, "--timeout=2", "--retry-times=5", reference)
    assert fault.reached.wait(patience.SECONDS)
    found = [member.split() for member in members(running.process.pid)]
    stopped = [int(pid) for pid, name in found if name != "skopeo"]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    fault.go_on.set()
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(3)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    outcome = running.finish()
    assert outcome.status == 0, outcome.stderr
    assert outcome.leftovers == []
    fsck(repo)
