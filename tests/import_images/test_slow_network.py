"""An image from far away: its blobs are fetched at once, however few jobs there are."""

from pathlib import Path

import pytest

from fixtures.bench.slow_network import slow_network
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import fsck, heads
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry


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
