"""What a program is told while a release is imported."""

import json
from pathlib import Path

from tests.tools.importrelease import run_release
from tests.tools.releaseworld import World


def test_components_are_counted_as_their_layers_end(
    world: World, repo: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events"
    wrapper = ["bash", "-c", 'exec "$@" 7>"$0"', str(events)]
    file, branch = world.file(world.first, tmp_path)
    outcome = run_release(repo, "--quiet", "--progress-fd=7", file, branch, wrapper=wrapper)
    assert outcome.status == 0, outcome.stderr
    told = [json.loads(line) for line in events.read_text().splitlines()]
    counted = [(one["over"], one["total"]) for one in told if one["event"] == "components"]
    total = len(world.first.images)
    assert counted[0][0] < total
    assert counted == sorted(counted)
    assert counted[-1] == (total, total)
    layers = {one["layer"] for one in told if one["event"] == "layer"}
    assert len(counted) == 1 + len(layers)
