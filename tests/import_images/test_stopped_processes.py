"""A worker process, or skopeo, is stopped by SIGSTOP: the command says so, or gives up in time."""

import os
import random
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import patience
from tests.tools.command import Process, finished, start
from tests.tools.faultydisk import Fault, supervised
from tests.tools.faultyproxy import Fault as Cut
from tests.tools.faultyproxy import FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Run, imported
from tests.tools.ostreerepo import checkout, fsck, init, refs
from tests.tools.registry import Registry
from tests.tools.session import members
from tests.tools.tarbuild import Entry

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")

BRANCH = "os/images"
STORE = "usr/lib/containers/storage"
WRITES = "write repo/tmp/import-image-*/tmp*/0/*.file"
SAID = re.compile(r"a worker process is stopped, and .*: `kill -CONT (\d+)` lets it go on$")
#: So large that the importing process does not read the layer itself.
NOISE = Entry(b"noise", content=random.Random(0).randbytes(3 << 20))
FILES = [*(Entry(b"etc/%d" % n, content=b"%d\n" % n) for n in range(20)), NOISE]


@dataclass(frozen=True)
class Site:
    """The same image in a layout, in a repo, and in a tree."""

    image: BuiltImage
    repo: Path
    tree: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("stopped")
    image = build_oci(home / "layout", "t", [FILES])
    imported(home / "repo", f"--branch={BRANCH}", "--whiteouts=none", f"oci:{image.directory}:t")
    return Site(image, home / "repo", home / "tree")


def let_go_on(process: Process) -> None:
    """Wait until the command tells of a stopped process, and let that one go on; all ends well."""
    assert isinstance(process, subprocess.Popen)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, b"")
    said = next(filter(None, (SAID.search(line.decode()) for line in lines)), None)
    assert said is not None, "it never said so"
    os.kill(int(said[1]), signal.SIGCONT)
    status, _, stderr = finished(process)
    assert (status, members(process.pid)) == (0, []), stderr


def check_importer(place: Path, command: str, source: str | Path) -> None:
    """Stop the worker process in its first write to the repo."""
    place.mkdir()
    repo = init(place / "repo")
    fault = Fault(WRITES, 0, stops=True)
    with supervised(place, place.with_name("link"), fault) as (supervisor, wrapper):
        run = Run(repo, f"--branch={BRANCH}", source, command=command, wrapper=wrapper)
        let_go_on(run.process)
    assert supervisor.stopped
    assert BRANCH in refs(repo)
    fsck(repo)


def test_a_worker_of_an_import_is_stopped(site: Site, tmp_path: Path) -> None:
    check_importer(tmp_path / "place", "import-image", f"oci:{site.image.directory}:t")


@pytest.mark.root
@pytest.mark.fuzz
@pytest.mark.parametrize("command", ["import-storage", "import-tree"])
def test_a_worker_of_another_importer_is_stopped(site: Site, tmp_path: Path, command: str) -> None:
    tree = checkout(site.repo, BRANCH, tmp_path / "tree", passthrough_whiteouts=False)
    check_importer(
        tmp_path / "place", command, tree / STORE if command == "import-storage" else tree
    )


def stop_first(process: Process, name: str) -> None:
    """Stop the first process of this name that the command starts."""
    while True:
        for one in members(process.pid):
            pid, found = one.split(maxsplit=1)
            if found.startswith(name) and int(pid) != process.pid:
                os.kill(int(pid), signal.SIGSTOP)
                return
        assert process.poll() is None, "it has ended"


@pytest.mark.fuzz
@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_worker_of_a_query_is_stopped(tmp_path: Path, command: str) -> None:
    """Two layers are large enough for processes of their own."""
    layers = [[Entry(name, content=name * (40 << 20))] for name in (b"a", b"b")]
    image = build_oci(tmp_path / "layout", "t", layers)
    imported(tmp_path / "repo", f"--branch={BRANCH}", f"oci:{image.directory}:t")
    names = [BRANCH] if command == "verify" else [image.image_id, f"oci:{tmp_path}/out:t"]
    argv = [command, f"--repo={tmp_path}/repo", "--jobs=2", *names]
    process = start("image-store", argv, {}, script=True)
    stop_first(process, "python")
    let_go_on(process)


def test_skopeo_is_stopped_for_an_embedded_store(
    site: Site, registry: Registry, tmp_path: Path
) -> None:
    """The base's blob stops in its midst, and so does skopeo: the deadline ends it."""
    base = build_oci(tmp_path / "base", "t", [[Entry(b"noise", content=os.urandom(1 << 20))]])
    with FaultyProxy(registry.url) as proxy:
        reference = proxy.through(registry.push(base, "stopped:t"))
        stalled = proxy.add(Cut(base.layer_digests[0], "stall", 100, times=1))
        argv = ["embed", f"--repo={site.repo}", BRANCH, f"--base=docker://{reference}"]
        argv += [f"--to=oci:{tmp_path}/out:t", "--timeout=1", "--tls-verify=false"]
        process = start("image-store", [*argv, "--retry-times=0"], {})
        assert stalled.reached.wait(patience.SECONDS)
        stop_first(process, "skopeo")
        stalled.go_on.set()
        status, stdout, stderr = finished(process)
    assert (status, stdout, members(process.pid)) == (1, "", []), stderr
    assert " for 1 s" in stderr.partition("error: ")[2]
    assert not (tmp_path / "out" / "index.json").exists()
