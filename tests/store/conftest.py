"""Images of common layers, and their stores of both forms."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE, blocker_id, private_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import checkout
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry, opaque, whiteout

NONE, QUOTED = "--whiteouts=none", "--whiteouts=quoted"
BASE = [
    *(Entry(name, "dir", mode=0o755) for name in (b"d", b"d/sub", b"d/sub/deep", b"srv")),
    *(Entry(name, content=name) for name in (b"d/a", b"d/b", b"d/sub/x", b"d/sub/deep/y", b"x")),
]
BLOCKS = [whiteout(b"d/a"), opaque(b"d/sub"), Entry(b"d/sub", "dir"), Entry(b"d/sub/new")]
BETWEEN = [Entry(b"d/e", content=b"e\n"), Entry(b"d/a", content=b"again\n")]
CUT = [whiteout(b"x"), Entry(b"srv/z")]
ABOVE = [Entry(b"x", content=b"back\n")]
SHOWN = ["/d:", "a", "b", "e", "sub", "/d/sub:", "new"]
OTHER = [Entry(b"o", content=b"other\n")]


@dataclass(frozen=True)
class Family:
    """Three images of common layers in one repo, and their stores of both forms."""

    repo: Path
    layout: Path
    home: Path
    long: BuiltImage
    names: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """The ids of the first image's layers: busybox, base, blocks (it holds /d whole), between,
        cut, above."""
        return private_ids(self.long.diff_ids, "blocker-layers")

    @property
    def blocker(self) -> str:
        """The id of the only blocker."""
        return blocker_id(self.ids[2])

    def store(self, form: str) -> Path:
        """The store on a branch of that name, as plain files."""
        return self.home / form / STORE


@pytest.fixture(scope="session")
def family(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Family:
    home = tmp_path_factory.mktemp("family")
    below = [busybox_layer(), BASE, BLOCKS]
    images = {
        "long": [*below, BETWEEN, CUT, ABOVE],
        "mid": [*below, OTHER],
        "plain": [*below[:2], OTHER],
    }
    built = {tag: build_oci(home / "layout", tag, layers) for tag, layers in images.items()}
    names = tuple(registry.push(one, f"none/{tag}:1") for tag, one in built.items())
    repo = home / "repo"
    for form, flag in (("none", NONE), ("quoted", QUOTED)):
        imported(repo, f"--branch={form}", flag, *names)
        checkout(repo, form, home / form, passthrough_whiteouts=False)
    return Family(repo, home / "layout", home, built["long"], names)
