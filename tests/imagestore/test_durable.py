"""What a command has returned is durable: contents are synced before names, and names after."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.tools.command import finished, start
from tests.tools.faultydisk import supervised
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.syscalls import Call
from tests.tools.tarbuild import Entry

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")
pytestmark = pytest.mark.root

RENAMES = ("rename", "renameat", "renameat2")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a layout, a repo with its image, and a tree."""
    place = tmp_path / "place"
    build_oci(place / "layout", "t", [[Entry(b"a", content=b"a" * 3000)]])
    imported(place / "repo", "--branch=os/images", f"r.io/a:1=oci:{place}/layout:t")
    (place / "tree/usr").mkdir(parents=True)
    (place / "tree/usr/a").write_text("a\n")
    return place


def calls(place: Path, command: str, *argv: object) -> list[Call]:
    """The writes of a command that succeeds, in their order."""
    with supervised(place, place.parent / "link") as (supervisor, wrapper):
        status, _, stderr = finished(start(command, [str(one) for one in argv], {}, wrapper))
    assert status == 0, stderr
    return supervisor.calls


def at(found: Sequence[Call], names: Sequence[str], path: str) -> list[int]:
    return [n for n, call in enumerate(found) if call.name in names and call.path == path]


COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "import-image": lambda place: [
        "import-image", f"--repo={place}/repo", "--branch=os/new", f"oci:{place}/layout:t",
    ],
    "import-tree": lambda place: [
        "import-tree", f"--repo={place}/repo", "--branch=os/new", place / "tree",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_branch(place: Path, name: str) -> None:
    """Its objects and their names first, then the ref."""
    command, *argv = COMMANDS[name](place)
    found = calls(place, str(command), *argv)
    (moved,) = at(found, RENAMES, "repo/refs/heads/os/new")
    synced = at(found, ["syncfs"], "repo")
    objects = [
        n for n, call in enumerate(found)
        if call.name in RENAMES and call.path.startswith("repo/objects/")
    ]  # fmt: skip
    assert any(max(objects) < n < moved for n in synced)
    assert any(n > moved for n in synced)


def test_branches_of_layers(place: Path) -> None:
    """Where no other branch is moved."""
    build_oci(place / "layout", "new", [[Entry(b"new", content=b"n" * 3000)]])
    argv = [f"--repo={place}/repo", "--form=layers", f"oci:{place}/layout:new"]
    found = calls(place, "import-image", *argv)
    moved = [
        n for n, call in enumerate(found)
        if call.name in RENAMES and call.path.startswith("repo/refs/heads/oci/")
    ]  # fmt: skip
    assert len(moved) == 2
    assert at(found, ["syncfs"], "repo")[-1] > max(moved)


def test_a_branch_that_is_deleted(place: Path) -> None:
    """Before the objects that it needed."""
    imported(place / "repo", "--branch=os/more", f"oci:{place}/layout:t")
    (place / "repo/refs/heads/os/images").unlink()
    (place / "repo/refs/heads/os/more").unlink()
    found = calls(place, "image-store", "prune", f"--repo={place}/repo")
    refs, objects = (
        [
            n for n, call in enumerate(found)
            if call.name in ("unlink", "unlinkat") and call.path.startswith(f"repo/{where}/")
        ]
        for where in ("refs", "objects")
    )  # fmt: skip
    assert any(max(refs) < n < min(objects) for n in at(found, ["syncfs"], "repo"))


@pytest.mark.parametrize(
    ("to", "last"), [("oci:{}/new/out:t", "index.json"), ("dir:{}/new/out", "manifest.json")]
)
def test_an_export(place: Path, to: str, last: str) -> None:
    """Each blob's content and name, the directories' names, and then the file that lists them."""
    argv = ["export", f"--repo={place}/repo", "r.io/a:1", to.format(place)]
    found = calls(place, "image-store", *argv)
    (listed,) = at(found, RENAMES, f"new/out/{last}")
    assert at(found, ["fsync"], "new/out")[-1] > listed
    assert at(found, ["mkdir"], "new/out")[0] < at(found, ["fsync"], "new")[0]
    blobs = [
        n for n, call in enumerate(found)
        if call.name in RENAMES and len(Path(call.path).name) == 64
    ]  # fmt: skip
    assert len(blobs) >= 2
    for count, n in enumerate(blobs, 1):
        directory = str(Path(found[n].path).parent)
        contents = [one for one in found[:n] if one.name == "fsync" and "/#" in one.path]
        assert len([one for one in contents if one.path.startswith(directory)]) >= count
        assert any(after > n for after in at(found, ["fsync"], directory))


def test_a_report(place: Path) -> None:
    """As each file that a command writes or replaces."""
    (place / "out").mkdir()
    argv = ["report", f"--repo={place}/repo", "os/images", "-o", place / "out/page.html"]
    found = calls(place, "image-store", *argv)
    (named,) = at(found, RENAMES, "out/page.html")
    assert found[named - 2].name == "fsync"  # before linkat
    assert found[named + 1] == Call("fsync", "out")
