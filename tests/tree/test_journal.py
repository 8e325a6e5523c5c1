"""Whose journal `import-tree translate` believes, and what a journal may say."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.progress import Silence
from importer.tree.in_place import InPlaceJob, translate_in_place
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.ondisk.change import Clear, Fill, Node, Quote, Remove, Times
from layers.ondisk.journal import Journal, parse_journal
from tests.tools.process import run
from tests.tools.snapshot import assert_same, snapshot
from tests.tree.test_in_place import in_place
from tests.tree.test_whiteouts import whiteout, write

CHANGES = (
    Times((b"usr",), 7),
    Quote((b"usr", b"lib"), b".ostree-wh.x"),
    Remove((b"usr", b"lib"), b"x", Node(0o20644, 1, 2, 0, 3, ((b"user.a", b"\xff"),))),
    Clear((), b"trusted.overlay.opaque", b"y"),
    Fill((b"a",), b"b", (b"c", b"d"), 4, 5, ((b"trusted.overlay.metacopy", b""),)),
)
MARK = ["trusted.overlay.metacopy", ""]
FILL = {"in": "", "fill": "a", "from": "b", "inode": 1, "mtime": 1, "xattrs": [MARK]}
NODE = {"mode": 0o20000, "uid": 0, "gid": 0, "device": 0, "mtime": 0, "xattrs": []}
PLANTED = '{"import-tree-journal": 1}\n{"in": "../outside", "quote": ".ostree-wh.x"}\n'


@pytest.mark.parametrize("done", range(len(CHANGES) + 1))
def test_a_journal_is_read_as_it_was_written(done: int) -> None:
    journal = Journal(CHANGES, done, (1 << 64) - 1)
    assert parse_journal(b"".join(journal.lines(b"/root"))) == journal


@pytest.mark.parametrize(
    "line",
    [
        {"in": "../outside", "quote": ".ostree-wh.x"},
        {"in": "a/../..", "quote": ".ostree-wh.x"},
        {"in": "/etc", "quote": ".ostree-wh.x"},
        {"in": "a//b", "quote": ".ostree-wh.x"},
        {"in": "a/", "quote": ".ostree-wh.x"},
        {"in": "./a", "quote": ".ostree-wh.x"},
        {"in": "a\0b", "quote": ".ostree-wh.x"},
        {"in": "", "quote": "../x"},
        {"in": "", "quote": "x"},
        {"in": "", "remove": "..", "node": NODE},
        {"in": "", "remove": "", "node": NODE},
        {"in": "", "remove": "x" * 256, "node": NODE},
        {"in": "", "remove": "x", "node": {**NODE, "mode": 0o120777}},
        {"in": "", "remove": "x", "node": {**NODE, "mode": 0o40755}},
        {"in": "", "remove": "x", "node": {**NODE, "mode": 0o755}},
        {"in": "", "remove": "x", "node": {**NODE, "mode": 0o100644, "device": 5}},
        {"in": "", "remove": "x", "node": {**NODE, "mode": 1 << 40}},
        {"in": "", "remove": "x", "node": {**NODE, "uid": 2**32 - 1}},
        {"in": "", "remove": "x", "node": {**NODE, "xattrs": [["user.a"]]}},
        {"in": "", "clear": "security.capability", "value": "eQ=="},
        {"in": "", "clear": "trusted.overlay.opaque", "value": "AAAA"},
        {"in": "", "mtime": -1},
        {**FILL, "inode": 1 << 64},
        {**FILL, "from": "../b"},
        {**FILL, "from": ""},
        {**FILL, "fill": ".."},
        {**FILL, "xattrs": []},
        {**FILL, "xattrs": [MARK, ["user.a", ""]]},
        {"in": 5, "mtime": 1},
    ],
)  # fmt: skip
def test_what_no_translation_writes_is_refused(line: object) -> None:
    text = json.dumps({"import-tree-journal": 1}) + "\n" + json.dumps(line)
    with pytest.raises(LayerError, match="line 2"):
        parse_journal(text.encode())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = write(tmp_path / "root", {"d/x": "x"})
    whiteout(root / "d/gone")
    return root


def beside(tree: Path) -> Path:
    return Path(f"{tree}.import-tree-journal")


def chowned(path: Path) -> None:
    os.chown(path, 1000, 1000)


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.root
@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (chowned, "not a journal of this user"),
        (lambda journal: journal.chmod(0o666), "not a journal of this user"),
        (lambda journal: journal.chmod(0o660), "not a journal of this user"),
        (lambda journal: chowned(journal.parent), "others can write"),
        (lambda journal: journal.parent.chmod(0o1777), "others can write"),
        (lambda journal: journal.parent.chmod(0o775), "others can write"),
        (linked, "symbolic links"),
        (piped, "no regular file"),
        (lambda journal: journal.write_text(PLANTED), "a name that no entry can have"),
    ],
    ids=["owner", "mode", "group", "parent", "sticky", "group's", "link", "fifo", "path"],
)
def test_a_planted_journal_is_not_believed(
    tree: Path, planted: Callable[[Path], None], said: str
) -> None:
    job = InPlaceJob(root=tree, device_nodes=DeviceNodes.AUTO)
    translate_in_place(job, Silence())
    planted(beside(tree))
    before = snapshot(tree, ignore_xattrs=())
    for one in (job, replace(job, undo=True), replace(job, dry_run=True)):
        with pytest.raises(ImporterError, match=said):
            translate_in_place(one, Silence())
    assert snapshot(tree, ignore_xattrs=()) == before


@pytest.mark.root
def test_a_journal_elsewhere(tree: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    before = snapshot(tree, ignore_xattrs=())
    (tmp_path / "own").mkdir(mode=0o700)
    journal = f"--journal={tmp_path}/own/journal"
    assert in_place(journal, tree).stdout == f"{tmp_path}/own/journal\n"
    assert in_place(journal, "--undo", tree).status == 0
    assert_same(snapshot(tree, ignore_xattrs=()), before, ("undone", "before"), ignore=("links",))


@pytest.mark.root
def test_undo_refuses_a_directory_that_is_not_mounted(tree: Path, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "x", place])
    try:
        run(["cp", "-a", f"{tree}/d", place])
        whiteout(place / "top")
        assert in_place(place).status == 0
        journal = beside(place).read_bytes()
    finally:
        run(["umount", place])
    outcome = in_place("--undo", place)
    assert outcome.status == 1
    assert "is the journal of another directory" in outcome.said("error")[0]
    assert "mount the file system" in outcome.said("hint")[0]
    assert beside(place).read_bytes() == journal
    assert list(place.iterdir()) == []


@pytest.mark.root
def test_a_dry_run_says_no_escape_sequence(tmp_path: Path) -> None:
    whiteout(tmp_path / "root/\x1b[31m/x\ny")
    outcome = in_place("--dry-run", tmp_path / "root")
    assert "\x1b" not in outcome.stdout
    assert outcome.stdout.splitlines() == [
        r"make \x1b[31m/.ostree-wh.x\ny",
        r"remove \x1b[31m/x\ny",
    ]
