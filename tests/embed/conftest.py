"""Images and a base for the tests of `image-store embed`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import init
from tests.tools.process import Argument
from tests.tools.storecommand import answered

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
CONTEXTS = """\
/.* system_u:object_r:default_t:s0
/usr/lib(/.*)? system_u:object_r:lib_t:s0
/var/lib/containers/storage(/.*)? system_u:object_r:store_t:s0
"""
FOLDERS = ("etc", "etc/selinux", "etc/selinux/small", "etc/selinux/small/contexts")
POLICY = "etc/selinux/small/contexts/files/file_contexts"
#: More than goes into the last layer.
BIG = 150_000
BASE = [
    Entry(b"usr", "dir", mode=0o755),
    # As Fedora and RHEL have it.
    Entry(b"usr/lib", "dir", mode=0o555, gid=7),
    Entry(b"usr/lib/os-release", content=b"ID=test\n"),
    *(Entry(one.encode(), "dir", mode=0o755) for one in (*FOLDERS, f"{FOLDERS[-1]}/files")),
    Entry(POLICY.encode(), content=CONTEXTS.encode()),
    Entry(f"{POLICY}.subs".encode(), content=b"/srv/www /var/www"),
]


@dataclass(frozen=True)
class Site:
    """A repo with a branch `two` of the images `one` and `two`, which share their lower layers,
    and `three` of three images; `base` is a container image to embed into."""

    home: Path
    base: BuiltImage
    images: dict[str, BuiltImage]

    @property
    def repo(self) -> Path:
        """The ostree repo."""
        return self.home / "repo"

    def embed(self, branch: str, to: str, *flags: Argument) -> dict[str, Any]:
        """Runs `image-store embed`; its JSON document."""
        base = f"--base=oci:{self.base.directory}:{self.base.tag}"
        return answered(self.repo, "embed", "--quiet", branch, base, f"--to={to}", *flags)


def shared() -> list[Entry]:
    """A layer with files of one content, odd owners, xattrs, an empty file and a long path."""
    big = os.urandom(BIG)
    long = b"data/" + b"/".join([b"d" * 90] * 3)
    folders = [long[: 4 + 91 * n] for n in (1, 2, 3)]
    return [
        Entry(b"data", "dir", mode=0o1777, uid=1000, gid=2_000_000_000),
        Entry(b"data/big", content=big, mode=0o4755),
        Entry(b"data/again", content=big, mode=0o4755),
        Entry(b"data/other-mode", content=big, mode=0o600),
        Entry(b"data/empty", mode=0o640, uid=5),
        Entry(b"data/cap", content=b"cap", xattrs={b"security.capability": CAPABILITY}),
        Entry(b"data/link", "symlink", mode=0o777, link=b"big"),
        *(Entry(one, "dir", mode=0o711) for one in folders),
        Entry(folders[-1] + b"/\xc3\xa4", content=b"long"),
    ]


def _image(home: Path, tag: str, lower: list[list[Entry]]) -> BuiltImage:
    own = [Entry(b"version", content=tag.encode()), Entry(b"own", content=os.urandom(BIG))]
    return build_oci(home / "images", tag, [*lower, own], config={"Cmd": ["cat", "/version"]})


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All tests share it; they only read."""
    home = tmp_path_factory.mktemp("embed")
    lower = [busybox_layer(), shared()]
    images = {tag: _image(home, tag, lower) for tag in ("one", "two", "three")}
    history = [{"created": "2023-01-01T00:00:00Z", "created_by": "base"}]
    base = build_oci(
        home / "base",
        "os",
        [BASE],
        config={"Labels": {"containers.bootc": "1"}, "Cmd": ["/sbin/init"]},
        created="2023-01-01T00:00:00Z",
        history=history,
        annotations={"kept": "yes"},
    )
    made = Site(home, base, images)
    init(made.repo)
    for branch, tags in {"two": ("one", "two"), "night": ("one", "three")}.items():
        refs = [f"q.io/a/{tag}:1=oci:{home}/images:{tag}" for tag in tags]
        imported(made.repo, f"--branch={branch}", *refs)
    imported(made.repo, "--branch=flat", "--flatten", f"q.io/a/one:1=oci:{home}/images:one")
    return made
