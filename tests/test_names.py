"""The names of the tests: xdist gives up if two of its processes do not find the same ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.order import LONGEST

ROOT = Path(__file__).parent.parent
FLAGS = ("--collect-only", "--quiet", "-p", "no:cacheprovider", "-n0")


def test_another_process_finds_the_same(request: pytest.FixtureRequest) -> None:
    """At another time, and with another order of sets."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *FLAGS],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    ours = {item.nodeid for item in request.session.items if not item.get_closest_marker("fuzz")}
    assert ours - set(found.splitlines()) == set()


def test_the_files_that_take_longest_exist() -> None:
    """`order.LONGEST` names files that the tests are in."""
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
