"""An image from far away: its blobs are fetched at once, however few jobs there are."""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest

from fixtures.bench.front import front
from fixtures.bench.slow_network import slow_network
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import fsck, heads
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

#: Layers that are fetched by three skopeos, for six blobs at once.
LAYERS = [[Entry(b"f%d" % n, content=b"%d" % n)] for n in range(8)]


class OpenedOnce(FaultyProxy):
    """A registry that gives a manifest once, and is out of order for whoever asks later."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._asked = count()

    def fault(self, path: str) -> Fault | None:
        """The fault for each manifest but the first."""
        refused = "/manifests/" in path and next(self._asked) > 0
        return Fault(path, 500) if refused else None


@pytest.mark.parametrize("spool", ["0", "100K", "1G"])
def test_the_same_layers_from_far_away(
    registry: Registry, tmp_path: Path, layout: Path, spool: str
) -> None:
    """Spooled, read as they come, or as much of both as there is room for."""
    layers = [
        [Entry(b"f%d" % n, content=bytes((i * (n + 1)) % 251 for i in range(60_000)))]
        for n in range(8)
    ]
    reference = registry.push(build_oci(layout, "t", layers, compression="none"), "far:t")
    host, _, name = reference.partition("/")
    near = imported(tmp_path / "near", "--form=layers", reference)
    with slow_network(int(host.rpartition(":")[2]), 200_000, 0.02) as port:
        flags = ["--form=layers", "--jobs=1", "--max-parallel-downloads=4"]
        config = {"spool-size": str(spool)}
        far = imported(tmp_path / "far", *flags, f"127.0.0.1:{port}/{name}", config=config)
    assert far["images"][0]["layers"] == near["images"][0]["layers"]
    assert heads(tmp_path / "near").items() <= heads(tmp_path / "far").items()
    fsck(tmp_path / "far")


def test_over_one_connection_nothing_is_asked_twice(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    """By digest: the manifest once, the config once, each layer once; again, nothing."""
    built = build_oci(layout, "t", [[Entry(b"a", content=b"a")], [Entry(b"b", content=b"b")]])
    registry.push(built, "once:t")
    reference = registry.by_digest(built, "once")
    flags = ["--branch=os/once", "--jobs=1", "--max-parallel-downloads=1"]
    registry.requests()
    imported(tmp_path / "repo", *flags, reference, config={"spool-size": "0"})
    asked = [one.path for one in registry.requests() if "/once/" in one.path]
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == 1 + 1 + 2
    imported(tmp_path / "repo", *flags, "--insecure-policy", reference)
    assert registry.requests() == []


@pytest.mark.parametrize("between", [None, OpenedOnce])
def test_far_away_it_is_opened_by_three_skopeos(
    registry: Registry, tmp_path: Path, layout: Path, between: Callable[[str], FaultyProxy] | None
) -> None:
    """With tokens and redirects; by the first alone, where the registry refuses the others."""
    built = build_oci(layout, "t", LAYERS)
    registry.push(built, "three:t")
    reference = registry.by_digest(built, "three")
    name = reference.partition("/")[2]
    near = imported(tmp_path / "near", "--form=layers", reference)
    registry.requests()
    with (
        between(registry.url) if between else nullcontext(registry) as asked,
        front(int(asked.host.rpartition(":")[2]), blobs=registry.port) as port,
        slow_network(port, 10_000_000, 0.15) as port,
    ):
        far = imported(tmp_path / "far", "--form=layers", f"127.0.0.1:{port}/{name}")
    assert far["images"][0]["layers"] == near["images"][0]["layers"]
    paths = [one.path for one in registry.requests()]
    assert sum("/manifests/" in path for path in paths) == (1 if between else 3)
    assert len([path for path in paths if "/blobs/" in path]) == 1 + len(LAYERS)


def test_two_images_far_away_are_opened_once_each(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    """They share the blobs that are fetched at once; nor is there more to do for a dry run."""
    images = [build_oci(layout, f"t{n}", [*LAYERS, [Entry(b"own%d" % n)]]) for n in range(2)]
    for number, built in enumerate(images):
        registry.push(built, f"two-{number}:t")
    names = [registry.by_digest(built, f"two-{n}") for n, built in enumerate(images)]
    with slow_network(registry.port, 10_000_000, 0.15) as port:
        far = [f"127.0.0.1:{port}/{name.partition('/')[2]}" for name in names]
        registry.requests()
        imported(tmp_path / "repo", "--branch=two", *far)
        imported(tmp_path / "dry", "--dry-run", far[0])
    paths = [one.path for one in registry.requests()]
    assert sum("/manifests/" in path for path in paths) == 3
