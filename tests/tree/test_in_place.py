"""`import-tree translate`: `ostree commit` of the tree is then what import-tree commits."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.foreign import ForeignDirectory
from importer.progress import Silence
from importer.tree import in_place as module
from importer.tree.in_place import InPlaceJob, translate_in_place
from importer.tree.journal import opened_journal
from layers.limits import DeviceNodes
from layers.ondisk.change import Change, Quote
from tests.tools.importimage import SCRIPT, Outcome
from tests.tools.ostreerepo import init, ls
from tests.tools.overlay import overlay_mount
from tests.tools.process import Argument, run
from tests.tools.snapshot import Snapshot, assert_same, snapshot
from tests.tools.treecommit import BRANCH, imported_tree, objects, ostree_commit
from tests.tree.test_whiteouts import driver_home, layered, whiteout, write

pytestmark = pytest.mark.root


def in_place(*arguments: Argument) -> Outcome:
    """Runs `import-tree translate ARGUMENTS...` to its end."""
    argv = [SCRIPT.with_name("import-tree"), "translate", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr, [])


def documented(*arguments: Argument) -> dict[str, object]:
    """The JSON document of a run that has to succeed."""
    outcome = in_place("--json", *arguments)
    assert outcome.status == 0, outcome.stderr
    found: dict[str, object] = json.loads(outcome.stdout)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An operating system with three forms of whiteouts, opaque directories and a node."""
    root = write(tmp_path / "root", {"usr/bin/x": "x", "usr/lib/y": "y"})
    layers, _ = layered(tmp_path)
    home = driver_home(root / "usr/lib/docker/overlay2", layers)
    os.mknod(home / "backingFsBlockDev", 0o60600, os.makedev(7, 1))
    base = write(tmp_path / "fbase", {"gone": "", "d/a": ""})
    top = write(tmp_path / "ftop", {".wh.gone": "", "d/.wh..wh..opq": ""})
    driver_home(root / "usr/lib/fuse-overlayfs", {"base": base, "top": top})
    whiteout(root / "usr/lib/tool/upper/deleted")
    os.chown(root / "usr/lib/tool/upper/deleted", 5, 6)
    os.utime(root / "usr/lib/tool/upper/deleted", (1, 1))
    marked = root / "usr/lib/tool/upper/marked"
    marked.touch(mode=0o640)
    os.setxattr(marked, "trusted.overlay.whiteout", b"y")
    os.setxattr(marked.parent, "trusted.overlay.opaque", b"x")
    return root


def without_directory_times(root: Path) -> Snapshot:
    """All of the tree, but when its directories were changed last."""
    found = snapshot(root, ignore_xattrs=())
    return {
        path: node if node.kind != "dir" else type(node)(**{**vars(node), "mtime_ns": 0})
        for path, node in found.items()
    }


def test_ostree_commits_what_import_tree_does(tree: Path, repo: Path) -> None:
    imported_tree(repo, tree)
    document = documented(tree)
    assert document["journal"] == f"{tree}.import-tree-journal"
    assert (document["made"], document["cleared"]) == (11, 3)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tree}")
    # What is translated is left alone, and the journal tells whose the quoted whiteouts are.
    again = in_place("--unchanged-exit-77", tree)
    assert (again.status, again.stdout) == (77, "")
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tree}")


def test_undo_gives_the_tree_back(tree: Path) -> None:
    before = snapshot(tree, ignore_xattrs=())
    in_place(tree)
    assert snapshot(tree, ignore_xattrs=()) != before
    document = documented("--undo", tree)
    assert document["undone"] is True
    assert_same(snapshot(tree, ignore_xattrs=()), before, ("undone", "before"), ignore=("links",))
    assert not Path(f"{tree}.import-tree-journal").exists()
    outcome = in_place("--undo", tree)
    assert outcome.status == 1
    assert "there is no journal" in outcome.said("error")[0]


def test_a_dry_run_changes_nothing(tree: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path, ignore_xattrs=())
    outcome = in_place("--dry-run", tree)
    assert snapshot(tmp_path, ignore_xattrs=()) == before
    lines = outcome.stdout.splitlines()
    docker = "usr/lib/docker/overlay2"
    assert f"make {docker}/middle/diff/d/.ostree-wh.one" in lines
    assert f"remove {docker}/middle/diff/never-was" in lines
    assert f"remove {docker}/backingFsBlockDev" in lines
    assert f"clear trusted.overlay.opaque of {docker}/middle/diff/d" in lines
    assert len(documented("--dry-run", tree)["changes"]) == len(lines)  # type: ignore[arg-type]


def test_what_is_added_later_is_translated_too(tree: Path, repo: Path) -> None:
    in_place(tree)
    whiteout(tree / "usr/lib/tool/upper/later")
    shutil.rmtree(tree / "usr/lib/fuse-overlayfs")
    assert documented(tree)["made"] == 1
    ostree_commit(repo, f"--tree=dir={tree}", branch=BRANCH)
    assert "/usr/lib/tool/upper/.ostree-wh.later" in ls(repo, BRANCH)
    outcome = in_place("--undo", tree)
    assert outcome.status == 0
    assert "directories that are gone" in outcome.stderr
    assert (tree / "usr/lib/tool/upper/later").is_char_device()


def test_a_name_that_came_beside_a_quoted_whiteout_is_named(tree: Path) -> None:
    in_place(tree)
    (tree / "usr/lib/tool/upper/deleted").touch()
    outcome = in_place(tree)
    assert outcome.status == 1
    assert "usr/lib/tool/upper/deleted: the name is there, and deleted" in outcome.said("error")[0]


def test_somebody_else_s_quoted_whiteouts_are_refused(tree: Path) -> None:
    (tree / "usr/.ostree-wh.x").touch()
    before = snapshot(tree, ignore_xattrs=())
    outcome = in_place(tree)
    assert outcome.status == 1
    assert f"{tree}/usr/.ostree-wh.x" in outcome.said("error")[0]
    assert snapshot(tree, ignore_xattrs=()) == before


def test_what_was_changed_since_is_not_undone(tree: Path) -> None:
    in_place(tree)
    (tree / "usr/lib/tool/upper/.ostree-wh.deleted").write_text("somebody's own")
    outcome = in_place("--undo", tree)
    assert outcome.status == 1
    assert "upper/.ostree-wh.deleted: it is not as the journal says" in outcome.said("error")[0]


def interrupt(monkeypatch: pytest.MonkeyPatch, work: str, limit: int) -> None:
    """Let `make` or `undo` be called so often, and then be interrupted."""
    original = getattr(module, work)
    left = iter(range(limit))

    def limited(change: Change, directory: int, root: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        original(change, directory, root)

    monkeypatch.setattr(module, work, limited)


@pytest.mark.parametrize("undo", [False, True], ids=["do", "undo"])
@pytest.mark.parametrize("step", [0, 1, 10, 12, 20, 22])
def test_what_was_interrupted_goes_on(
    tree: Path, monkeypatch: pytest.MonkeyPatch, step: int, undo: bool
) -> None:
    """As after a kill: the changes up to any one are made, and none of those after it."""
    before = snapshot(tree, ignore_xattrs=())
    job = InPlaceJob(root=tree, device_nodes=DeviceNodes.AUTO)
    copy = tree.with_name("copy")
    run(["cp", "-a", tree, copy])
    translate_in_place(replace(job, root=copy), Silence())
    if undo:
        translate_in_place(job, Silence())
    with monkeypatch.context() as patched:
        interrupt(patched, "undo" if undo else "make", step)
        with pytest.raises(KeyboardInterrupt):
            translate_in_place(replace(job, undo=undo), Silence())
    if not undo:
        translate_in_place(job, Silence())
        assert_same(without_directory_times(tree), without_directory_times(copy))
    translate_in_place(replace(job, undo=True), Silence())
    assert_same(snapshot(tree, ignore_xattrs=()), before, ("undone", "before"), ignore=("links",))


def test_a_killed_run_leaves_a_journal_to_go_on_with(tree: Path) -> None:
    before = snapshot(tree, ignore_xattrs=())
    job = InPlaceJob(root=tree, device_nodes=DeviceNodes.AUTO)
    planned = translate_in_place(replace(job, dry_run=True), Silence()).changes
    place = Path(f"{tree}.import-tree-journal")
    with ForeignDirectory.named(tree) as root, opened_journal(place, root) as journal:
        journal.begin(planned)  # and then the power goes away
    resumed = documented(tree)
    assert resumed["made"] == sum(isinstance(change, Quote) for change in planned)
    documented("--undo", tree)
    assert_same(snapshot(tree, ignore_xattrs=()), before, ("undone", "before"), ignore=("links",))


def test_a_mounted_store_is_refused(tree: Path, tmp_path: Path) -> None:
    home = tree / "usr/lib/docker/overlay2"
    lowers = [home / name / "diff" for name in ("middle", "base")]
    with overlay_mount(lowers, home / "merged"):
        outcome = in_place(tree)
        assert outcome.status == 1
        assert f"{home}/merged is a mount point" in outcome.said("error")[0]
    where = tmp_path / "elsewhere"
    where.mkdir()
    run(["mount", "-t", "overlay", "x", "-o", f"lowerdir={lowers[0]}:{lowers[1]}", where])
    try:
        outcome = in_place(tree)
    finally:
        run(["umount", where])
    assert f"{lowers[0]} is a layer of the mount at {where}" in outcome.said("error")[0]
    assert "--force" in outcome.said("hint")[0]


def test_a_store_in_use_is_refused_unless_forced(tree: Path) -> None:
    database = tree / "usr/lib/docker/volumes/metadata.db"
    database.parent.mkdir()
    with database.open("w") as file:
        argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=[file.fileno()]) as process:
            outcome = in_place(tree)
            assert outcome.status == 1
            assert f"has {database} open" in outcome.said("error")[0]
            assert in_place("--force", tree).status == 0
            process.send_signal(signal.SIGKILL)


def test_two_runs_do_not_meet(tree: Path) -> None:
    descriptor = os.open(tree, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    outcome = in_place("--force", tree)
    os.close(descriptor)
    assert "another import-tree changes it" in outcome.said("error")[0]


def test_a_journal_that_is_none_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("{}\n")
    outcome = in_place(f"--journal={tmp_path}/journal", tree)
    assert outcome.status == 1
    assert "is no journal of import-tree" in outcome.said("error")[0]
    outcome = in_place(f"--journal={tree}/usr/journal", tree)
    assert "would be in the tree" in outcome.said("error")[0]
    with pytest.raises(ImporterError, match="no place beside /"):
        translate_in_place(InPlaceJob(root=Path("/"), device_nodes=DeviceNodes.AUTO), Silence())


def test_whiteouts_in_a_bare_user_only_repo(tmp_path: Path) -> None:
    """All owners are 0:0 there, that of a quoted whiteout too, as `ostree commit` has it."""
    repo = init(tmp_path / "repo", "bare-user-only")
    whiteout(tmp_path / "tree/gone")
    imported_tree(repo, "--owner-uid=5", tmp_path / "tree")
    documented(tmp_path / "tree")
    theirs = ostree_commit(repo, "--owner-uid=5", f"--tree=dir={tmp_path}/tree")
    assert objects(repo) == theirs
