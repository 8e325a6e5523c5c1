"""Each write of `export`, `embed`, `remove`, `prune` and `import-tree translate` fails once, and
each is the last one of a process that is killed there.

The error is one line, nothing half-done has a final name, and the next run completes the work.
"""

import errno
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.tools import tried
from tests.tools.faultydisk import Fault
from tests.tools.faultywork import Place, Work, check_all, ends
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import fsck, heads, ostree
from tests.tools.snapshot import snapshot
from tests.tools.tarbuild import Entry
from tests.tree.test_whiteouts import whiteout, write

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")
pytestmark = pytest.mark.root

#: pytest's `record_property`.
Record = Callable[[str, object], None]
SHARED = [Entry(b"shared", content=b"s" * 3000)]


@dataclass(frozen=True)
class Site:
    """The directory that all commands begin with: a repo, a tree, and a base image."""

    template: Path
    images: dict[str, BuiltImage]

    @property
    def base(self) -> str:
        base = self.images["base"]
        return f"oci:{base.directory}:{base.tag}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("faulty-writes")
    images = {
        tag: build_oci(home / "layout", tag, [SHARED, [Entry(tag.encode(), content=b"x" * 500)]])
        for tag in ("one", "two", "base")
    }
    template = home / "template"
    references = [f"r.io/{tag}:1=oci:{home}/layout:{tag}" for tag in ("one", "two")]
    imported(template / "repo", "--branch=all", "--whiteouts=none", *references)
    imported(template / "repo", "--branch=gone", f"oci:{home}/layout:base")
    ostree(template / "repo", "refs", "--delete", "gone")
    tree = write(template / "tree", {"usr/x": "x"})
    upper = tree / "usr/lib/tool/upper"
    whiteout(upper / "deleted")
    (upper / "d").mkdir()
    whiteout(upper / "d/other")
    (upper / "d/plain").touch()
    return Site(template, images)


# --- what each command does, and what of it may be there after an error ---


def check_layout(place: Path) -> None:
    """Every blob has its digest's content, and the index names whole images."""
    out = place / "out"
    blobs = {path.name: path.read_bytes() for path in out.glob("blobs/sha256/*") if _named(path)}
    assert all(sha256(data).hexdigest() == name for name, data in blobs.items())
    if (out / "index.json").exists():
        for one in json.loads((out / "index.json").read_bytes())["manifests"]:
            manifest = json.loads(blobs[one["digest"].removeprefix("sha256:")])
            parts = [manifest["config"], *manifest["layers"]]
            assert {part["digest"].removeprefix("sha256:") for part in parts} <= blobs.keys()


def check_directory(place: Path) -> None:
    """As `check_layout`, for skopeo's dir: a manifest is there with all of its blobs, or not."""
    found = {path.name: path for path in (place / "out").glob("*") if _named(path)}
    names = found.keys() - {"version", "manifest.json"}
    assert all(sha256(found[name].read_bytes()).hexdigest() == name for name in names)
    if "manifest.json" in found:
        manifest = json.loads(found["manifest.json"].read_bytes())
        parts = [manifest["config"], *manifest["layers"]]
        assert {part["digest"].removeprefix("sha256:") for part in parts} <= names


def _named(path: Path) -> bool:
    """Whether the file has its final name; what has a temporary one, the next run removes."""
    return not path.name.startswith(".import-image-")


def written(place: Path) -> object:
    return {
        str(path.relative_to(place / "out")): path.read_bytes()
        for path in (place / "out").rglob("*")
        if path.is_file()
    }


def check_repo(place: Path) -> None:
    fsck(place / "repo")


def committed(place: Path) -> object:
    """The refs, and the objects without their times."""
    objects = {path.name for path in (place / "repo" / "objects").glob("??/*")}
    return heads(place / "repo"), {name for name in objects if not name.endswith(".commitmeta")}


def check_tree(place: Path) -> None:
    """A deletion is there in one of its two forms, or in both."""
    upper = place / "tree/usr/lib/tool/upper"
    for path in (upper / "deleted", upper / "d/other"):
        quoted = path.with_name(f".ostree-wh.{path.name}")
        assert path.is_char_device() or quoted.is_file()
    assert (upper / "d/plain").is_file()


def translated(place: Path) -> object:
    return {
        path: (node.kind, node.mode, node.uid, node.xattrs)
        for path, node in snapshot(place / "tree", ignore_xattrs=()).items()
    }


WORKS: dict[str, Callable[[Site], Work]] = {
    "export": lambda site: Work(
        lambda place: [
            "image-store", "export", f"--repo={place}/repo", site.images["one"].image_id,
            f"oci:{place}/out:t",
        ],
        check_layout,
        written,
        Fault("write out/blobs/sha256/*", 0, errno.ENOSPC),
    ),
    "export dir": lambda site: Work(
        lambda place: [
            "image-store", "export", f"--repo={place}/repo", site.images["one"].image_id,
            f"dir:{place}/out",
        ],
        check_directory,
        written,
        Fault("rename out/manifest.json", 0, errno.EIO),
    ),
    "embed": lambda site: Work(
        lambda place: [
            "image-store", "embed", f"--repo={place}/repo", "all", f"--base={site.base}",
            f"--to=oci:{place}/out:t",
        ],
        check_layout,
        written,
        Fault("rename out/index.json", 0, errno.ENOSPC),
    ),
    "remove": lambda _site: Work(
        lambda place: ["image-store", "remove", f"--repo={place}/repo", "r.io/one:1"],
        check_repo,
        committed,
        Fault("utimensat repo", 0, errno.EIO),
    ),
    "prune": lambda _site: Work(
        lambda place: ["image-store", "prune", f"--repo={place}/repo"],
        check_repo,
        committed,
        Fault("unlinkat repo/objects/*/*.file", 0, errno.EIO),
    ),
    "in place": lambda _site: Work(
        lambda place: ["import-tree", "translate", "--force", f"{place}/tree"],
        check_tree,
        translated,
        Fault("openat tree/usr/lib/tool/upper/.ostree-wh.deleted", 0, errno.ENOSPC),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["export", "embed", "remove", "in place"])
def test_a_write_that_fails(site: Site, tmp_path: Path, name: str) -> None:
    work = WORKS[name](site)
    place = Place(site.template, work, tmp_path, reading=False)
    expected = place.complete()
    place.renew()
    assert place.fails(work.sample)
    assert place.comes_to(expected)


def faults(counted: Counter[str]) -> list[Fault]:
    """Each call, and all from it on."""
    return [
        fault
        for kind, number in ends(counted)
        for fault in (
            Fault(kind, number, errno.EIO, lasts=True),
            Fault(kind, number, errno.ENOSPC),
        )
    ]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", WORKS)
def test_all_writes_that_fail(
    site: Site, tmp_path: Path, record_property: Record, name: str
) -> None:
    place = Place(site.template, WORKS[name](site), tmp_path, reading=False)
    tried.note(record_property, name, "write fails", check_all(place, faults))


#: For `make test`: before the last step, and in the midst of the work.
KILLS = {"export": "rename out/index.json", "remove": "renameat repo/refs/heads/all"}


@pytest.mark.parametrize("name", KILLS)
def test_a_process_that_is_killed(site: Site, tmp_path: Path, name: str) -> None:
    place = Place(site.template, WORKS[name](site), tmp_path, reading=False)
    expected = place.complete()
    place.renew()
    assert place.fails(Fault(KILLS[name], 0, kills=True))
    assert place.comes_to(expected)


def kills(counted: Counter[str]) -> list[Fault]:
    return [Fault(kind, number, kills=True) for kind, number in ends(counted)]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", WORKS)
def test_processes_that_are_killed_at_each_write(
    site: Site, tmp_path: Path, record_property: Record, name: str
) -> None:
    place = Place(site.template, WORKS[name](site), tmp_path, reading=False)
    tried.note(record_property, name, "SIGKILL", check_all(place, kills))
