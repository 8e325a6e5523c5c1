"""A small layer is read by the importing process; larger ones, and others meanwhile, are not."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from importer.repo.new_objects import FULL
from tests.tools.entry import Entry
from tests.tools.image import build_oci
from tests.tools.ostreerepo import fsck

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
MOVE = """
import sys
from importer.ingest import local_executor
from importer.repo.object_store import ObjectStore
count = int(sys.argv.pop(1))
local_executor.processors = lambda: count
move = ObjectStore.publish_early
def logged(store, directory):
    print("early", file=sys.stderr)
    move(store, directory)
ObjectStore.publish_early = logged
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


@pytest.mark.parametrize(("processors", "times"), [(1, 0), (2, 1)])
def test_objects_are_moved_early_by_an_idle_processor(
    layout: Path, repo: Path, processors: int, times: int
) -> None:
    noise = random.Random(7)
    files = [Entry(b"%d" % number, content=noise.randbytes(300)) for number in range(FULL + 8)]
    build_oci(layout, "t", [files])
    options = (f"--repo={repo}", "--insecure-policy", "--quiet")
    argv = [sys.executable, "-c", MOVE, str(processors), *options, f"oci:{layout}:t"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["early"] * times
    fsck(repo)
