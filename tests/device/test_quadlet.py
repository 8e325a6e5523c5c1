"""podman's Quadlet takes the image of a unit that we take."""

from pathlib import Path

from tests.layers.lists.test_lists import UNITS
from tests.tools.lacking import need
from tests.tools.process import run


def test_quadlet_reads_the_same_images(tmp_path: Path) -> None:
    need("podman")
    for number, unit in enumerate(UNITS):
        (tmp_path / f"unit{number}.container").write_text(unit, newline="")
    env = {"QUADLET_UNIT_DIRS": str(tmp_path), "PATH": "/usr/bin:/bin"}
    made = run(["/usr/libexec/podman/quadlet", "-dryrun", "-user"], env=env)
    started = [line for line in made.splitlines() if line.startswith("ExecStart=")]
    images = [line.split()[-1] for line in started if " sh " not in line]
    assert len(started) == len(UNITS)
    assert set(images) <= set(UNITS.values())
    assert all(image in line for line, image in zip(started, UNITS.values(), strict=True))
