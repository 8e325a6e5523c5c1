"""A small layer is read by the importing process; larger ones, and others meanwhile, are not."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.entry import Entry
from tests.tools.image import build_oci

RUN = """
import sys
from importer import process
begin = process.Server.__init__
def logged(server, argv, descriptors):
    print(argv[0], file=sys.stderr)
    begin(server, argv, descriptors)
process.Server.__init__ = logged
sys.argv[0] = "import-image"
from importer.cli.main import import_image
import_image()
"""
SMALL, LARGE = 1 << 20, 3 << 20


@pytest.mark.parametrize(
    ("sizes", "workers"), [([SMALL], 0), ([SMALL] * 3, 0), ([LARGE], 1), ([LARGE, SMALL], 1)]
)
def test_how_many_processes_read(layout: Path, repo: Path, sizes: list[int], workers: int) -> None:
    noise = random.Random(7)  # nothing compresses this
    layers = [[Entry(b"file", content=noise.randbytes(size))] for size in sizes]
    build_oci(layout, "t", layers)
    options = (f"--repo={repo}", "--insecure-policy", "--quiet", "--jobs=1")
    argv = [sys.executable, "-c", RUN, *options, f"oci:{layout}:t"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["skopeo", *[sys.executable] * workers]
