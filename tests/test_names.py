"""The names of the tests: xdist gives up if two of its processes do not find the same ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
