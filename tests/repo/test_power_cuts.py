"""The power is cut while a command works: nothing half-done has a final name, the next run makes
what an undisturbed one makes, and what a command has returned with is there."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.imagestore import test_faulty_writes as writes
from tests.tools import lacking, tried
from tests.tools.command import finished, start
from tests.tools.image import build_oci
from tests.tools.ostreerepo import fsck, heads, init
from tests.tools.ownstorage import OwnStorage, digits, link
from tests.tools.powercut import Recording, after_cut, record
from tests.tools.process import run
from tests.tools.releaseworld import World
from tests.tools.tarbuild import Entry, whiteout
from tests.tools.treecommit import plain_tree

pytest.importorskip("pyfuse3", reason="this system lacks Python's bindings of FUSE")
pytestmark = pytest.mark.root

Record = writes.Record
site = writes.site
#: How many moments of each command `make test` looks at, besides the one when it has returned.
CUTS = 3
MANY = 50


@dataclass(frozen=True)
class Work:
    """A command in a directory on the disk: how the directory begins, what must hold at any moment,
    and what the command comes to."""

    prepare: Callable[[Path], object]
    argv: Callable[[Path], list[str]]
    check: Callable[[Path], None]
    result: Callable[[Path], object]


def branches(place: Path) -> object:
    """The branches without those of layers: an undisturbed run may have more of these."""
    kept = ("oci/layer/", "oci/tar-split/")
    found = heads(place / "repo").items()
    return {ref: commit for ref, commit in found if not ref.startswith(kept)}


def check_repo(place: Path) -> None:
    """Every branch is whole."""
    fsck(place / "repo")


def image_work(home: Path) -> Work:
    """Five layers, onto a branch that has another image."""
    files = [
        [
            *(Entry(b"%d/%d" % (n, m), content=b"%d" % m * 3000) for m in range(20)),
            *([whiteout(b"%d/0" % (n - 1))] if n else []),
        ]
        for n in range(5)
    ]
    for tag, layers in {"old": files[:1], "new": files}.items():
        build_oci(home / "layout", tag, layers)
    argv = ["--branch=os/images", f"oci:{home}/layout:"]

    def prepare(place: Path) -> None:
        init(place / "repo")
        succeed("import-image", f"--repo={place}/repo", argv[0], argv[1] + "old")

    return Work(
        prepare,
        lambda place: ["import-image", f"--repo={place}/repo", argv[0], argv[1] + "new"],
        check_repo,
        branches,
    )


def release_work(world: World) -> Work:
    """Two branches, and a file for each."""
    names = ("release-x86_64.json", "release-aarch64.json")
    old = {"release": {"base": "4.19"}, "images": {"etcd": "x"}}

    def files(place: Path) -> list[dict[str, object]]:
        return [json.loads((place / name).read_bytes()) for name in names]

    def prepare(place: Path) -> None:
        init(place / "repo")
        for name in names:
            (place / name).write_text(json.dumps(old))

    def check(place: Path) -> None:
        check_repo(place)
        assert all(set(one) == {"release", "images"} for one in files(place))

    def argv(place: Path) -> list[str]:
        sources = [*world.serve(world.first), *world.serve(world.first_arm64)]
        updates = [f"--update-json={place / name}" for name in names]
        options = ("--tls-verify=false", "--quiet", f"--repo={place}/repo")
        return ["import-release", *options, *sources, *updates]

    return Work(prepare, argv, check, lambda place: (branches(place), files(place)))


def tree_work(home: Path) -> Work:
    """A tree on another disk."""
    (home / "tree").mkdir()
    plain_tree(home / "tree")
    tree = ("import-tree", "--branch=os", "--timestamp=@0")
    return Work(
        lambda place: init(place / "repo"),
        lambda place: [*tree, f"--repo={place}/repo", f"{home}/tree"],
        check_repo,
        branches,
    )


def heal_work() -> Work:
    """A device's storage with a sound image, and one whose lowest layer is in no store."""
    sound, broken, top, below, gone = map(digits, ("sound", "broken", "top", "below", "gone"))

    def prepare(place: Path) -> None:
        OwnStorage.made(place / "store").add_layer(below, link=link("below"))
        storage = OwnStorage.made(place / "storage")
        storage.add_layer(top, below, link("top"), f"l/{link('below')}")
        storage.add_layer(digits("over"), gone, link("over"), f"l/{link('gone')}")
        storage.add_image(sound, top, "r.io/sound:1")
        storage.add_image(broken, digits("over"), "r.io/broken:1")

    def records(place: Path) -> tuple[set[str], set[str]]:
        """The images in the storage, and those aside."""
        aside = (place / "storage/import-image-aside").glob("*/images.json")
        away = [one["id"] for path in aside for one in json.loads(path.read_text())]
        return set(OwnStorage(place / "storage").images), set(away)

    def check(place: Path) -> None:
        here, aside = records(place)
        assert sound in here
        assert broken in here | aside

    stores = ("--root={}/storage", "--store={}/store", "--quiet")
    return Work(
        prepare,
        lambda place: ["image-store", "heal", *(one.format(place) for one in stores)],
        check,
        records,
    )


def work_of(name: str, site: writes.Site) -> Work:
    """A command of which each write fails as well."""
    work = writes.WORKS[name](site)
    in_repo = work.check is writes.check_repo
    return Work(
        lambda place: run(["cp", "-a", "--no-target-directory", site.template, place]),
        lambda place: list(work.argv(place)),
        work.check,
        branches if in_repo else work.result,
    )


WORKS = ("import-image", "import-release", "import-tree", "heal", *writes.WORKS)


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Work:
    """The work that the test names."""
    name = request.param
    if name == "import-image":
        return image_work(tmp_path)
    if name == "import-release":
        return release_work(request.getfixturevalue("world"))
    if name == "import-tree":
        return tree_work(tmp_path)
    if name == "heal":
        return heal_work()
    return work_of(name, request.getfixturevalue("site"))


def succeed(*argv: str) -> None:
    status, _, stderr = finished(start(argv[0], argv[1:], {}))
    assert status == 0, stderr


@dataclass(frozen=True)
class Done:
    """What a command did to its disk, and what it came to."""

    recording: Recording
    expected: object


def recorded(home: Path, kind: str, work: Work) -> Done:
    """Run the command on a disk of its own that nothing disturbs."""
    place = home / "mnt/place"
    found: list[object] = []

    def prepare() -> None:
        place.mkdir()
        work.prepare(place)

    recording = record(home, kind, prepare, lambda: succeed(*work.argv(place)))
    with after_cut(recording, home, len(recording.log), 0):
        found.append(work.result(place))
    return Done(recording, found[0])


@contextmanager
def rebooted(done: Done, home: Path, moment: int, seed: int) -> Iterator[Path]:
    """The disk after a cut and a boot: libostree's staging directories name another boot."""
    with after_cut(done.recording, home, moment, seed):
        for staging in home.glob("mnt/place/*/tmp/staging-*"):
            tail = staging.name.rpartition("-")[2]
            staging.rename(staging.with_name(f"staging-{uuid.UUID(int=seed)}-{tail}"))
        yield home / "mnt/place"


def check_cuts(home: Path, kind: str, work: Work, count: int, seed: int) -> int:
    """Cut the power at some moments, and when the command has returned. Return their number."""
    lacking.need(f"mkfs.{kind}")
    done = recorded(home, kind, work)
    moments = list(done.recording.moments(count, seed))
    for moment in moments:
        with rebooted(done, home, moment, seed) as place:
            work.check(place)
            if moment == done.recording.returned:
                assert work.result(place) == done.expected, "what the command returned with is lost"
            elif work.result(place) != done.expected:
                succeed(*work.argv(place))
            work.check(place)
            assert work.result(place) == done.expected, moment
    return len(moments)


@pytest.mark.parametrize("work", WORKS, indirect=True)
def test_some_moments(
    tmp_path: Path, work: Work, request: pytest.FixtureRequest, record_property: Record
) -> None:
    count = check_cuts(tmp_path, "ext4", work, CUTS, 1)
    tried.note(record_property, request.node.callspec.params["work"], "power cut", count)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("work", WORKS, indirect=True)
def test_many_moments(
    tmp_path: Path, work: Work, kind: str, request: pytest.FixtureRequest, record_property: Record
) -> None:
    count = check_cuts(tmp_path, kind, work, MANY, 2)
    tried.note(record_property, request.node.callspec.params["work"], "power cut", count)
