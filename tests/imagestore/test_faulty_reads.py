"""A read fails: of an object of the repo, of a file of a store or tree, of a blob that is spooled.

The error is one line with the path or the object, nothing half-done stays, and the next run, when
the disk is well again, completes the work.
"""

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import tried
from tests.tools.faultydisk import Fault
from tests.tools.faultywork import Place, Work, check_all, ends
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import checkout, fsck, heads, init
from tests.tools.tarbuild import Entry

pytest.importorskip("seccomp", reason="this system lacks libseccomp's Python bindings")
pytestmark = pytest.mark.root

STORE = "usr/lib/containers/storage"
SHARED = [Entry(b"shared", content=b"s" * 3000)]


@dataclass(frozen=True)
class Site:
    """The directory that all commands begin with: a repo, an empty one, a layout, and a tree."""

    template: Path
    image: BuiltImage


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("faulty-reads")
    template = home / "template"
    files = [Entry(b"%d" % n, content=b"%d" % n) for n in range(20)]
    layers = [SHARED, files, [Entry(b"noise", content=bytes(1 << 20))]]
    image = build_oci(template / "layout", "t", layers)
    imported(template / "repo", "--branch=all", "--whiteouts=none", f"oci:{image.directory}:t")
    checkout(template / "repo", "all", template / "tree", passthrough_whiteouts=False)
    init(template / "empty")
    return Site(template, image)


def check_repos(place: Path) -> None:
    fsck(place / "repo")
    fsck(place / "empty")


def committed(place: Path) -> object:
    return heads(place / "repo"), heads(place / "empty")


def _into(place: Path) -> list[str]:
    return [f"--repo={place}/empty", "--branch=new", "--timestamp=@0"]


LAYERS_JSON = Fault(f"read tree/{STORE}/overlay-layers/layers.json", 0, errno.EIO)
IMAGES_JSON = Fault(f"read tree/{STORE}/overlay-images/images.json", 0, errno.EIO)
# libostree reads an object again that could not be read without it.
OBJECT = Fault("read repo/objects/*/*.file", 0, errno.EIO, lasts=True)
WORKS: dict[str, Callable[[Site], Work]] = {
    "import-image": lambda _site: Work(
        lambda place: [
            "import-image", *_into(place), "--jobs=1", "--retry-times=0", f"oci:{place}/layout:t",
        ],
        check_repos, committed, Fault("splice empty/tmp/*", 0, errno.EIO),
    ),
    "import-storage": lambda _site: Work(
        lambda place: ["import-storage", *_into(place), f"{place}/tree/{STORE}"],
        check_repos, committed, LAYERS_JSON,
    ),
    "import-tree": lambda _site: Work(
        lambda place: ["import-tree", *_into(place), f"{place}/tree"],
        check_repos, committed, IMAGES_JSON,
    ),
    "verify": lambda _site: Work(
        lambda place: ["image-store", "verify", f"--repo={place}/repo", "all"],
        check_repos, committed, OBJECT, finds=True,
    ),
    "show": lambda site: Work(
        lambda place: ["image-store", "show", f"--repo={place}/repo", site.image.image_id],
        check_repos, committed, OBJECT,
    ),
    "export": lambda site: Work(
        lambda place: [
            "image-store", "export", f"--repo={place}/repo", site.image.image_id,
            f"oci:{place}/out:t",
        ],
        check_repos, committed, OBJECT,
    ),
    "embed": lambda _site: Work(
        lambda place: [
            "image-store", "embed", f"--repo={place}/repo", "all", f"--base=oci:{place}/layout:t",
            f"--to=oci:{place}/out:t", "--retry-times=0",
        ],
        check_repos, committed, OBJECT,
    ),
    "remove": lambda site: Work(
        lambda place: ["image-store", "remove", f"--repo={place}/repo", site.image.image_id],
        check_repos, committed, OBJECT,
    ),
    "prune": lambda _site: Work(
        lambda place: ["image-store", "prune", f"--repo={place}/repo"],
        check_repos, committed, Fault("read repo/refs/heads/all", 0, errno.EIO),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["import-image", "import-storage", "verify", "show"])
def test_a_read_that_fails(site: Site, tmp_path: Path, name: str) -> None:
    work = WORKS[name](site)
    place = Place(site.template, work, tmp_path, reading=True)
    assert place.fails(work.sample), place.calls()
    place.complete()


def faults(counted: Counter[str]) -> list[Fault]:
    return [Fault(kind, number, errno.EIO, lasts=True) for kind, number in ends(counted)]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", WORKS)
def test_all_reads_that_fail(
    site: Site, tmp_path: Path, record_property: Callable[[str, object], None], name: str
) -> None:
    place = Place(site.template, WORKS[name](site), tmp_path, reading=True)
    tried.note(record_property, name, "read fails", check_all(place, faults))
