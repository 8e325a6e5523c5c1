"""What a program is told while a release is imported."""

import json
from pathlib import Path

from tests.tools.importrelease import run_release
from tests.tools.releaseworld import World


def test_components_have_their_layers(world: World, repo: Path, tmp_path: Path) -> None:
    """Each is announced with its layers, each of which is done at last."""
    events = tmp_path / "events"
    wrapper = ["bash", "-c", 'exec "$@" 7>"$0"', str(events)]
    file, branch = world.file(world.first, tmp_path)
    outcome = run_release(repo, "--quiet", "--progress-fd=7", file, branch, wrapper=wrapper)
    assert outcome.status == 0, outcome.stderr
    told = [json.loads(line) for line in events.read_text().splitlines()]
    images = {one["image"]: one["layers"] for one in told if one["event"] == "image"}
    states = {one["layer"]: one["state"] for one in told if one["event"] == "layer"}
    assert images.keys() == world.first.images.keys()
    assert {layer for layers in images.values() for layer in layers} == states.keys()
    assert set(states.values()) == {"done"}
    first = next(n for n, one in enumerate(told) if one["event"] == "layer")
    assert all(one["event"] != "image" for one in told[first:])
