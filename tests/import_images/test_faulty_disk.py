"""Each write of an import fails, one after the other: the call itself, or all from then on."""

import errno
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import tried
from tests.tools.faultydisk import Fault, supervised
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Outcome, Run, imported
from tests.tools.ostreerepo import Mode, fsck, heads, init
from tests.tools.process import run
from tests.tools.syscalls import REMOVING
from tests.tools.tarbuild import Entry, whiteout

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")

FIRST = [Entry(b"etc/word", content=b"word\n"), Entry(b"etc/large", content=bytes(2 << 20))]
SECOND = [Entry(b"etc/link", "symlink", link=b"word"), whiteout(b"etc/large")]
#: What `make test` looks at, in the order of an import, in one repo: each run comes further.
SAMPLE = [
    Fault("mkdir repo/tmp/import-image-*", 0, errno.EIO, lasts=True),
    Fault("write repo/tmp/import-image-*/tmp*/0/*.file", 0, errno.ENOSPC),
    Fault("syncfs repo", 0, errno.EIO),
    Fault("renameat repo/objects/*/*.file", 0, errno.ENOSPC),
    Fault("linkat repo/tmp/staging-*/*/*.commit", 1, errno.EIO, lasts=True),
    Fault("utimensat repo", 2, errno.EIO),
    Fault("utimensat repo", 0, errno.ENOSPC),
]


@dataclass(frozen=True)
class Place:
    """A directory with a repo; `link` is for the supervisor's socket."""

    directory: Path
    link: Path
    reference: str

    @property
    def repo(self) -> Path:
        return self.directory / "repo"

    def images(self) -> dict[str, str]:
        """The refs but for those of finished layers, which may stay."""
        kept = ("oci/layer/", "oci/tar-split/")
        return {ref: at for ref, at in heads(self.repo).items() if not ref.startswith(kept)}

    def calls(self) -> Counter[str]:
        """How often an import makes each kind of call."""
        with supervised(self.directory, self.link) as (supervisor, wrapper):
            imported(self.repo, "--branch=os/images", self.reference, wrapper=wrapper)
        return Counter(call.kind for call in supervisor.calls)

    def check(self, fault: Fault) -> bool:
        """An import with the fault, which moves no branch; whether there was the fault."""
        before = self.images()
        with supervised(self.directory, self.link, fault) as (supervisor, wrapper):
            outcome = Run(self.repo, "--branch=os/images", self.reference, wrapper=wrapper).finish()
        if not supervisor.failed:
            return False
        assert outcome.leftovers == []
        if outcome.status == 0:
            failed = {call.name for call in supervisor.failed}
            # Python's tempfile makes a file with a name where it can make none without.
            unnamed = {"openat"} if fault.kind == "openat repo/tmp" else set()
            assert failed <= {*REMOVING, *unnamed}, fault
        else:
            check_told(outcome, fault)
            # With every later write failing too, a ref that is written cannot be moved back.
            told = fault.lasts and "then moving back branch" in outcome.stderr
            assert told or self.images() == before, fault
        fsck(self.repo)
        return True

    def complete(self, commit: str) -> None:
        """The next import makes the commit that it makes anywhere."""
        imported(self.repo, "--branch=os/images", self.reference)
        assert self.images()["os/images"] == commit
        fsck(self.repo)
        assert list((self.repo / "tmp").glob("import-image-*")) == []


def check_told(outcome: Outcome, fault: Fault) -> None:
    """One line and a hint say what failed."""
    assert (outcome.status, outcome.stdout) == (1, ""), (fault, outcome)
    assert "Traceback" not in outcome.stderr, (fault, outcome)
    (error,), (hint,) = outcome.said("error"), outcome.said("hint")
    assert f": {FAULTS[fault.error][0]}" in error, (fault, error)
    assert FAULTS[fault.error][1] in hint, (fault, hint)


FAULTS = {
    errno.EIO: ("Input/output error", "the disk of the repo fails"),
    errno.ENOSPC: ("No space left on device", "the disk is full"),
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return build_oci(tmp_path_factory.mktemp("faulty") / "layout", "t", [FIRST, SECOND])


@pytest.fixture
def place(tmp_path: Path, image: BuiltImage) -> Place:
    directory = tmp_path / "place"
    directory.mkdir()
    return Place(directory, tmp_path / "link", f"oci:{image.directory}:t")


def test_some_writes_that_fail(place: Place, tmp_path: Path) -> None:
    reference = place.reference
    commit = imported(tmp_path / "undisturbed", "--branch=os/images", reference)["commit"]
    init(place.repo, "bare-user")
    assert [str(fault) for fault in SAMPLE if not place.check(fault)] == []
    place.complete(commit)


def faults(counted: Counter[str]) -> Iterator[Fault]:
    """The first and the last call of each kind."""
    for kind, count in counted.items():
        for number in sorted({0, count - 1}):
            yield Fault(kind, number, errno.EIO, lasts=True)
            yield Fault(kind, number, errno.ENOSPC)


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", ["bare-user", "archive", "bare"])
def test_all_writes_that_fail(
    place: Place, tmp_path: Path, record_property: Callable[[str, object], None], mode: Mode
) -> None:
    """Some hundred; a call may not be reached, since threads take turns."""
    empty = init(tmp_path / "empty", mode)
    run(["cp", "-a", empty, place.repo])
    counted = place.calls()
    commit = place.images()["os/images"]
    reached = 0
    for fault in faults(counted):
        shutil.rmtree(place.repo)
        run(["cp", "-a", empty, place.repo])
        if place.check(fault):
            reached += 1
            place.complete(commit)
    assert reached > len(counted)
    tried.note(record_property, "import-image", "write fails", reached)
