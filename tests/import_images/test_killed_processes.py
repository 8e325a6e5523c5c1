"""A process of ours, or skopeo, is killed in the midst of a call: by the kernel, say, which lacks
memory. The error names it, or there is nobody left to tell; the next run makes the same commit."""

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import patience, tried
from tests.tools.faultydisk import Fault, supervised
from tests.tools.faultyproxy import Fault as Cut
from tests.tools.faultyproxy import FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Outcome, Run, imported, run_import
from tests.tools.ostreerepo import checkout, fsck, init, refs, rev_parse
from tests.tools.registry import Registry
from tests.tools.session import members
from tests.tools.tarbuild import Entry

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")

BRANCH = "os/images"
#: So large that the importing process does not read the layer itself.
NOISE = Entry(b"noise", content=random.Random(0).randbytes(3 << 20))
ENTRIES = [*(Entry(b"etc/%d" % n, content=b"%d\n" % n) for n in range(5)), NOISE]
COMMANDS = ["import-image", "import-storage", "import-tree", "import-release"]
#: A worker process with a file, or the command itself; and the command with its branch.
SAMPLE = [
    Fault("write repo/tmp/import-image-*/tmp*/0/*.file", 0, kills=True),
    Fault("renameat repo/refs/heads/os/images", 0, kills=True),
]


@dataclass(frozen=True)
class Sources:
    """The same image in a registry, in a store, in a tree, and in a release file."""

    reference: str
    store: Path
    release: Path

    def arguments(self, command: str) -> Sequence[str]:
        return {
            "import-image": (self.reference,),
            "import-storage": (str(self.store),),
            "import-tree": ("--timestamp=@0", str(self.store)),
            "import-release": ("--tls-verify=false", str(self.release)),
        }[command]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return build_oci(tmp_path_factory.mktemp("killed") / "layout", "t", [ENTRIES])


@pytest.fixture(scope="module")
def sources(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, image: BuiltImage
) -> Sources:
    home = tmp_path_factory.mktemp("sources")
    reference = registry.push(image, "killed:t")
    imported(home / "repo", f"--branch={BRANCH}", reference)
    tree = checkout(home / "repo", BRANCH, home / "tree")
    release = home / "release.json"
    release.write_text(json.dumps({"release": {"base": "1"}, "images": {"a": reference}}))
    return Sources(reference, tree / "usr/lib/containers/storage", release)


class Killed:
    """A command in a directory of its own, with a repo."""

    def __init__(self, directory: Path, command: str, sources: Sources) -> None:
        self.place = directory / "place"
        self.place.mkdir()
        self.repo = init(self.place / "repo", "bare-user")
        self._link = directory / "link"
        self._command = command
        self._arguments = (f"--branch={BRANCH}", *sources.arguments(command))

    def calls(self) -> Counter[str]:
        """How often a run makes each kind of call."""
        with supervised(self.place, self._link) as (supervisor, wrapper):
            self._done(self.repo, wrapper)
        return Counter(call.kind for call in supervisor.calls)

    def check(self, fault: Fault, commit: str) -> bool:
        """A run in which a process is killed; whether one was. The branch may have its commit only
        if the command itself was killed, behind its last step."""
        with supervised(self.place, self._link, fault) as (supervisor, wrapper):
            run = Run(self.repo, *self._arguments, command=self._command, wrapper=wrapper)
            outcome = run.finish()
        if not supervisor.failed:
            return False
        check_told(outcome)
        if BRANCH in refs(self.repo):
            assert (outcome.status, rev_parse(self.repo, BRANCH)) == (-signal.SIGKILL, commit), (
                fault
            )
        fsck(self.repo)
        return True

    def complete(self, commit: str) -> None:
        """The next run makes the commit that a run makes anywhere."""
        self._done(self.repo)
        assert rev_parse(self.repo, BRANCH) == commit
        fsck(self.repo)
        assert list((self.repo / "tmp").glob("import-image-*")) == []

    def undisturbed(self, repo: Path) -> str:
        """What a run makes that nobody disturbs."""
        self._done(repo)
        return rev_parse(repo, BRANCH)

    def _done(self, repo: Path, wrapper: Sequence[str] = ()) -> None:
        outcome = run_import(repo, *self._arguments, command=self._command, wrapper=wrapper)
        assert outcome.status == 0, outcome


def check_told(outcome: Outcome) -> None:
    """By the command, if it was not killed itself; by import-release for the image, and in all."""
    assert outcome.leftovers == []
    assert (outcome.stdout, "Traceback" in outcome.stderr) == ("", False), outcome
    if outcome.status != -signal.SIGKILL:
        assert outcome.status == 1, outcome
        error, hint = outcome.said("error")[0], outcome.said("hint")[0]
        assert "ended with status -9" in error
        assert "it was killed" in hint


@pytest.mark.root
@pytest.mark.parametrize("command", COMMANDS)
def test_processes_of_ours_are_killed(command: str, sources: Sources, tmp_path: Path) -> None:
    killed = Killed(tmp_path, command, sources)
    commit = killed.undisturbed(tmp_path / "undisturbed")
    assert [str(fault) for fault in SAMPLE if not killed.check(fault, commit)] == []
    assert BRANCH not in refs(killed.repo)
    killed.complete(commit)


@pytest.mark.root
@pytest.mark.fuzz
@pytest.mark.parametrize("command", COMMANDS)
def test_processes_are_killed_at_each_call(
    command: str,
    sources: Sources,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The first and the last of each kind; a call may not be reached, since threads take turns."""
    killed = Killed(tmp_path, command, sources)
    empty = shutil.copytree(killed.repo, tmp_path / "empty")
    counted = killed.calls()
    commit = rev_parse(killed.repo, BRANCH)
    reached = 0
    for kind, count in counted.items():
        for number in sorted({0, count - 1}):
            shutil.rmtree(killed.repo)
            shutil.copytree(empty, killed.repo)
            if killed.check(Fault(kind, number, kills=True), commit):
                reached += 1
                killed.complete(commit)
    tried.note(record_property, command, "SIGKILL", reached)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """What a program reads ahead of a layer is less than this one has."""
    layer = [Entry(b"large", content=random.Random(0).randbytes(1 << 20))]
    return build_oci(tmp_path_factory.mktemp("large") / "layout", "t", [layer])


@pytest.mark.parametrize(
    ("what", "retries"), [("manifest", 0), ("config", 0), ("layer", 0), ("layer", 3)]
)
def test_skopeo_is_killed(
    registry: Registry, tmp_path: Path, large: BuiltImage, what: str, retries: int
) -> None:
    """It is started again, if retries are allowed."""
    paths = {"config": large.config_digest, "layer": large.layer_digests[0]}
    after = 1 << 19 if what == "layer" else 1
    with FaultyProxy(registry.url) as proxy:
        reference = proxy.through(registry.push(large, "killed:t"))
        stalled = proxy.add(Cut(paths.get(what, "/manifests/"), "stall", after, times=1))
        run = Run(tmp_path / "repo", f"--retry-times={retries}", reference)
        assert stalled.reached.wait(patience.SECONDS)
        for pid in skopeos(run.process.pid):
            os.kill(pid, signal.SIGKILL)
        stalled.go_on.set()
        outcome = run.finish()
    assert outcome.leftovers == []
    if retries:
        assert outcome.status == 0, outcome
    else:
        check_told(outcome)
        assert "skopeo" in outcome.said("error")[0]
    fsck(tmp_path / "repo")


def skopeos(session: int) -> list[int]:
    """The processes of skopeo that an import has."""
    found = [int(one.split()[0]) for one in members(session) if one.split()[1] == "skopeo"]
    assert found
    return found
