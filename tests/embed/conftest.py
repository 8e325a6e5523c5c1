"""Images and a base for the tests of `image-store embed`."""

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry, whiteout
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import init
from tests.tools.process import Argument
from tests.tools.storecommand import answered, image_store

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
CONTEXTS = """\
/.* system_u:object_r:default_t:s0
/usr/lib(/.*)? system_u:object_r:lib_t:s0
/var/lib/containers/storage(/.*)? system_u:object_r:store_t:s0
"""
FOLDERS = ("etc", "etc/selinux", "etc/selinux/small", "etc/selinux/small/contexts")
POLICY = "etc/selinux/small/contexts/files/file_contexts"
OPTIONS = (*("--selinux-equivalence", "--bound", "--label=a=b", "--label=containers.bootc=2"),)
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


def encapsulated(entries: list[Entry]) -> list[Entry]:
    """The entries as ostree-ext writes a base's layer (bootc, crates/ostree-ext/src/tar/export.rs):
    the root is listed, and each file is a hard link to an object of the repo in /sysroot."""
    found = [Entry(b".", "dir", mode=0o755, format="gnu")]
    for number, one in enumerate(entries):
        path, entry = b"./" + one.path, replace(one, format="gnu")
        if one.kind == "file" and one.content:
            entry = replace(entry, path=b"sysroot/ostree/repo/objects/%02d/a.file" % number)
            found += [entry, Entry(path, "hardlink", link=entry.path, format="gnu")]
        else:
            found.append(replace(entry, path=path))
    return found


@dataclass(frozen=True)
class Embedded:
    """What the command printed: its document, and its messages."""

    document: dict[str, Any]
    messages: str

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers on top of the base's."""
        found: list[dict[str, Any]] = self.document["layers"]
        return found


@dataclass(frozen=True, eq=False)
class Site:
    """A repo with the branches `two` and `night`, of two images each that share their lower layers,
    `cut` of one that deletes files, and `flat`; `base` is a container image to embed into."""

    home: Path
    base: BuiltImage
    images: dict[str, BuiltImage]

    @property
    def repo(self) -> Path:
        """The ostree repo."""
        return self.home / "repo"

    @property
    def out(self) -> Path:
        """The layout of what `embedded` makes; the tags are the branches."""
        return self.home / "out"

    @cache  # noqa: B019 - a site lives as long as the tests
    def embedded(self, branch: str) -> Embedded:
        """The branch in the base image, with all options; made once."""
        base, to = f"--base=oci:{self.base.directory}:{self.base.tag}", f"--to=oci:{self.out}"
        outcome = image_store(
            self.repo, "embed", "--json", branch, base, f"{to}:{branch}", *OPTIONS
        )
        assert outcome.status == 0, outcome.stderr
        return Embedded(outcome.document, outcome.stderr)

    def flags(self, out: str) -> tuple[str, str]:
        """The base, and a layout in the home as the destination."""
        return f"--base=oci:{self.base.directory}:{self.base.tag}", f"--to=oci:{self.home}/{out}:t"

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
    return build_oci(home / "images", tag, [*lower, _own(tag)], config={"Cmd": ["cat", "/version"]})


def _own(tag: str) -> list[Entry]:
    return [Entry(b"version", content=tag.encode()), Entry(b"own", content=os.urandom(BIG))]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All tests share it; they only read."""
    home = tmp_path_factory.mktemp("embed")
    lower = [busybox_layer(), shared()]
    images = {tag: _image(home, tag, lower) for tag in ("one", "two", "three")}
    images["cut"] = build_oci(
        home / "images",
        "cut",
        [*lower, [whiteout(b"data/link"), whiteout(b"bin/find")], _own("cut")],
        config={"Cmd": ["cat", "/version"]},
    )
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
    cut = f"q.io/a/cut:1=oci:{home}/images:cut"
    imported(made.repo, "--branch=flat", "--flatten", cut)
    imported(made.repo, "--branch=cut", "--whiteouts=none", cut)
    both = (cut, f"q.io/a/one:1=oci:{home}/images:one")
    imported(made.repo, "--branch=shared", "--whiteouts=none", *both)
    return made
