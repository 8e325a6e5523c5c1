"""What the program for devices reads and opens: bounds, and names that somebody else swaps."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from fixtures.fuzz.cost import finding
from fixtures.fuzz.device import DEVICE
from importer.device.deletions import deletions
from importer.device.folder import DeviceError, Folder, opened
from tests.tools.tarbuild import Entry, opaque, tar_member, whiteout

MIB = 1 << 20


def line(payload: bytes) -> bytes:
    document = {"type": 2, "payload": base64.b64encode(payload).decode()}
    return json.dumps(document).encode() + b"\n"


#: What a megabyte of gzip may have.
UNPACKED = {
    "zeros": b"\0" * (300 * MIB),
    "lines": b"\n" * (300 * MIB),
    "marks": b"LndoL\n" * (10 * MIB),
    "a long line": b"LndoL" * (20 * MIB),
    "headers": line(b".wh.ustar " * (MIB // 8)) * 30,
    "paths": line(b".wh. path=" * (MIB // 8)) * 30,
}


@pytest.mark.parametrize("name", UNPACKED)
def test_a_record_that_unpacks_to_more_is_read_within_bounds(name: str) -> None:
    """Two seconds of processor and 100 MB, as `fixtures.fuzz.cost` has for all readers."""
    data = gzip.compress(UNPACKED[name], mtime=0)
    assert finding(DEVICE["device-deletions"], data) == ""


def test_deletions_of_a_layer() -> None:
    """Headers by both kinds of long names, and as podman's and our records have them in lines."""
    entries = [
        Entry(b"x", content=b"x" * 1000),
        *(whiteout(name) for name in (b"a/b", b"\xff", b"d" * 90 + b"/" + b"e" * 90)),
        opaque(b"a/c"),
        opaque(b""),
        Entry(b".wh..wh.plnk", "dir"),
    ]
    raw = b"".join(map(tar_member, entries))
    lines = line(raw[:1536]) + line(raw[1536:])
    pieces = iter([gzip.compress(lines)])
    found = set(deletions(lambda: next(pieces, b"")))
    assert found >= {"a/b", "\udcff", "d" * 90 + "/" + "e" * 90, "a/c/", "/"}
    assert not [one for one in found if one.startswith("Pax")]


# -- names that somebody else swaps --

SWAP = """\
import sys
from pathlib import Path
from tests.tools.racer import exchange
pairs = [[Path(one) for one in pair.split("|")] for pair in sys.argv[1:]]
print("swapping", flush=True)
for _ in range(50_000):
    for pair in pairs:
        exchange(*pair)
"""


def attempt(call: Callable[[], object]) -> object:
    try:
        return call()
    except DeviceError:
        return None


def test_nothing_outside_is_reached_while_names_are_swapped(tmp_path: Path) -> None:
    """50,000 swaps each of a directory and of a file with a symlink that leads outside."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (root / "folder", root / "other", outside):
        directory.mkdir(parents=True)
        (directory / "file").write_text("inside")
    (outside / "file").write_text("outside")
    (outside / "link").symlink_to("outside")
    (root / "link").symlink_to("../outside")
    (root / "other/link").symlink_to("../../outside/file")
    pairs = [f"{root}/folder|{root}/link", f"{root}/other/file|{root}/other/link"]
    with (
        ExitStack() as held,
        subprocess.Popen(
            [sys.executable, "-c", SWAP, *pairs],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as swapping,
    ):
        folder = opened(root, held)
        assert folder is not None
        assert swapping.stdout is not None
        assert swapping.stdout.readline() == b"swapping\n"
        while swapping.poll() is None:
            reached(folder)
    assert swapping.returncode == 0
    assert sorted(path.name for path in outside.iterdir()) == ["file", "link"]
    assert (outside / "file").read_text() == "outside"


def reached(folder: Folder) -> None:
    """Try every way to a name beneath."""
    assert attempt(lambda: folder.read("folder/file", 10)) in {None, b"inside"}
    assert attempt(lambda: folder.read("other/file", 10)) in {None, b"inside"}
    assert attempt(lambda: folder.target("folder/link")) is None
    names = attempt(lambda: folder.names("folder"))
    assert not isinstance(names, list) or "link" not in names
    attempt(lambda: folder.write("folder/new", b"new"))
    attempt(lambda: folder.unlink("folder/new"))
    attempt(lambda: folder.link("x", "folder/made"))
    attempt(lambda: folder.unlink("folder/made"))
    attempt(lambda: folder.make("folder/inner"))
    attempt(lambda: folder.remove_tree("folder/inner"))
    attempt(lambda: folder.move("folder/file", "folder/moved"))
    attempt(lambda: folder.move("folder/moved", "folder/file"))
