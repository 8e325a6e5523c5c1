"""Images in a registry, and copies of a store of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import pytest

from importer.copies.directory import MARKER
from tests.embed.conftest import shared
from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry, whiteout
from tests.tools.image import build_oci
from tests.tools.importimage import How, Outcome, run_import
from tests.tools.process import Argument
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, snapshot

CUT = [whiteout(b"data/link"), whiteout(b"bin/find")]


@dataclass(frozen=True)
class Images:
    """Two images in a registry that share their lower layers; `cut` deletes files. `cache` is the
    user's cache directory."""

    home: Path
    cut: str
    one: str

    @property
    def cache(self) -> Path:
        """XDG_CACHE_HOME of those who give no repo."""
        return self.home / "cache"

    def to(self, place: object, *arguments: Argument, **how: Unpack[How]) -> Outcome:
        """Runs `import-image --to=PLACE` without a repo; both images unless REFs are given."""
        flags = [one for one in arguments if str(one).startswith("-")]
        references = [one for one in arguments if one not in flags] or [self.cut, self.one]
        how.setdefault("env", {"XDG_CACHE_HOME": str(self.cache)})
        return run_import(None, f"--to={place}", *flags, *references, **how)

    def copied(self, place: object, *arguments: Argument, **how: Unpack[How]) -> str:
        """The commit that a run printed, which has to succeed."""
        outcome = self.to(place, *arguments, **how)
        assert outcome.status == 0, outcome.stderr
        return outcome.stdout.strip()


def store_in(directory: Path) -> Snapshot:
    """A directory's store, without the marker."""
    found = snapshot(directory)
    del found[b"."], found[MARKER.encode()]
    return found


@pytest.fixture(scope="session")
def images(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """All tests share them, and the cache of their user."""
    home = tmp_path_factory.mktemp("copies")
    lower = [busybox_layer(), shared()]
    names = {}
    for tag, more in {"cut": [CUT], "one": []}.items():
        own = [Entry(b"version", content=tag.encode())]
        config = {"Cmd": ["cat", "/version"]}
        built = build_oci(home / "images", tag, [*lower, *more, own], config=config)
        names[tag] = f"{registry.host}/copies/{tag}:1"
        registry.push(built, f"copies/{tag}:1")
    return Images(home, names["cut"], names["one"])
