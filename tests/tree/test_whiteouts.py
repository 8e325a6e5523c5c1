"""Whiteouts, opaque directories and what ostree has no object for, in trees made by hand."""

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, ls, refs
from tests.tools.overlay import overlay_mount
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.treecommit import BRANCH, imported_tree, run_tree

pytestmark = pytest.mark.root


def whiteout(path: Path) -> None:
    """What overlayfs makes where a name is deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Files by their paths."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    root.mkdir(parents=True, exist_ok=True)
    return root


def driver_home(home: Path, layers: Mapping[str, Path]) -> Path:
    """The home of a graph driver with these layers, base first, each above all before it."""
    (home / "l").mkdir(parents=True)
    links: list[str] = []
    for name, diff in layers.items():
        link = f"LINK{name.upper()}"
        (home / name).mkdir()
        diff.rename(home / name / "diff")
        (home / name / "link").write_text(link)
        (home / "l" / link).symlink_to(f"../{name}/diff")
        if links:
            (home / name / "lower").write_text(":".join(f"l/{one}" for one in links))
        links.insert(0, link)
    return home


def lowers(home: Path, *names: str) -> list[Path]:
    """The layers' directories, nearest first."""
    return [home / name / "diff" for name in reversed(names)]


def test_whiteouts_come_back_when_the_commit_is_checked_out(tmp_path: Path, repo: Path) -> None:
    root = write(tmp_path / "tree", {"a/kept": "kept", "a/empty": ""})
    whiteout(root / "a/gone")
    whiteout(root / "äöü")
    (root / "a/by-xattr").touch()
    os.setxattr(root / "a/by-xattr", "trusted.overlay.whiteout", b"y")
    os.setxattr(root / "a", "trusted.overlay.opaque", b"x")
    document = imported_tree(repo, root)
    assert document["whiteouts"] == 3
    quoted = {"/a/.ostree-wh.gone", "/a/.ostree-wh.by-xattr", "/.ostree-wh.äöü"}
    assert quoted <= set(ls(repo, BRANCH))
    fsck(repo)
    out = checkout(repo, BRANCH, tmp_path / "out")
    for name in ("a/gone", "a/by-xattr", "äöü"):
        status = (out / name).lstat()
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == 0
    # The mark that an overlay's directory has such xattrs is of no use any more.
    assert os.listxattr(out / "a") == []


def layered(tmp_path: Path) -> tuple[dict[str, Path], Path]:
    """Three layers: with deletions that hide something and nothing, and opaque directories."""
    base = write(
        tmp_path / "base",
        {"d/one": "1", "d/two": "2", "d/sub/three": "3", "e/f/g": "g", "e/h": "h", "gone": "x"},
    )
    middle = write(tmp_path / "middle", {"d/new": "n", "d/sub/four": "4"})
    whiteout(middle / "gone")
    whiteout(middle / "never-was")
    os.setxattr(middle / "d", "trusted.overlay.opaque", b"y")
    os.setxattr(middle / "d", "user.own", b"1")
    top = write(tmp_path / "top", {"e/f/i": "i"})
    os.setxattr(top / "e", "trusted.overlay.opaque", b"y")
    whiteout(top / "gone")  # gone already
    whiteout(top / "d/new")
    return {"base": base, "middle": middle, "top": top}, tmp_path


@pytest.mark.parametrize("home", ["overlay2", "overlay"])
def test_layers_are_closed_over_their_lowers(tmp_path: Path, repo: Path, home: str) -> None:
    layers, _ = layered(tmp_path)
    names = ("base", "middle", "top")
    store = driver_home(tmp_path / "tree/var/lib/x" / home, layers)
    with overlay_mount(lowers(store, *names), tmp_path / "before") as mounted:
        before = snapshot(mounted)
    document = imported_tree(repo, tmp_path / "tree")
    assert document["opaque_expanded"] == 2
    assert document["opaque_kept"] == 0
    assert document["dropped_whiteouts"] == 2
    listed = [name for name in ls(repo, BRANCH) if ".ostree-wh." in name]
    place = f"/var/lib/x/{home}"
    assert listed == [
        f"{place}/middle/diff/.ostree-wh.gone",
        f"{place}/middle/diff/d/.ostree-wh.one",
        f"{place}/middle/diff/d/.ostree-wh.two",
        f"{place}/middle/diff/d/sub/.ostree-wh.three",
        f"{place}/top/diff/d/.ostree-wh.new",
        f"{place}/top/diff/e/.ostree-wh.h",
        f"{place}/top/diff/e/f/.ostree-wh.g",
    ]
    out = checkout(repo, BRANCH, tmp_path / "out") / f"var/lib/x/{home}"
    assert os.listxattr(out / "middle/diff/d") == ["user.own"]
    with overlay_mount(lowers(out, *names), tmp_path / "after") as mounted:
        assert_same(before, snapshot(mounted), ("before", "after"))


@pytest.mark.parametrize("broken", ["lower", "link"])
def test_where_lowers_are_unknown_everything_is_kept(
    tmp_path: Path, repo: Path, broken: str
) -> None:
    layers, _ = layered(tmp_path)
    store = driver_home(tmp_path / "tree/overlay2", layers)
    if broken == "lower":
        (store / "middle/lower").write_text("l/ELSEWHERE")
    else:
        (store / "l/LINKBASE").unlink()
    outcome = run_tree(repo, "--json", tmp_path / "tree")
    assert outcome.document["opaque_kept"] == 2  # the top layer's, too: its lowers are not known
    assert outcome.document["dropped_whiteouts"] == 0
    assert "rpm-ostree and osbuild drop" in outcome.stderr
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay2"
    assert os.getxattr(out / "middle/diff/d", "trusted.overlay.opaque") == b"y"
    refused = run_tree(repo, "--opaque=error", tmp_path / "tree")
    assert refused.status == 1
    assert f"{tmp_path}/tree/overlay2" in refused.said("error")[0]
    dropped = run_tree(repo, "--no-xattrs", tmp_path / "tree")
    assert "would not be committed" in dropped.said("error")[0]


def test_fuse_overlayfs_s_files_are_whiteouts_in_its_layers_alone(
    tmp_path: Path, repo: Path
) -> None:
    base = write(tmp_path / "base", {"gone": "", "d/a": "", "e/b": ""})
    top = write(
        tmp_path / "top", {".wh.gone": "", ".wh.nothing": "", "d/.wh..wh..opq": "", "e/c": ""}
    )
    (top / ".wh.e").touch()  # and `e` in the same layer: it is new
    driver_home(tmp_path / "tree/fuse-overlayfs", {"base": base, "top": top})
    write(tmp_path / "tree/plain", {".wh.literal": ""})
    imported_tree(repo, tmp_path / "tree")
    found = [name for name in ls(repo, BRANCH) if "wh." in name]
    layer = "/fuse-overlayfs/top/diff"
    assert found == [
        f"{layer}/.ostree-wh.gone",
        f"{layer}/d/.ostree-wh.a",
        f"{layer}/e/.ostree-wh.b",
        "/plain/.wh.literal",
    ]


@pytest.mark.parametrize("kind", ["own", "fifo", "block", "metacopy", "latin-1", "long"])
def test_what_a_commit_cannot_hold_is_named(tmp_path: Path, repo: Path, kind: str) -> None:
    layers = {"base": write(tmp_path / "base", {"file": "x"})}
    root = driver_home(tmp_path / "tree/overlay2", layers) / "base/diff"
    name = {"own": ".ostree-wh.x", "latin-1": "é", "long": "x" * 250}.get(kind, kind)
    path = os.fsencode(root) + b"/" + name.encode("latin-1")
    said = {"own": "turn a file of this name", "fifo": "a fifo", "block": "a device node"}
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "block":
        os.mknod(path, stat.S_IFBLK, os.makedev(7, 0))
    elif kind == "long":
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    else:
        Path(os.fsdecode(path)).write_text("x")
    if kind == "metacopy":
        os.setxattr(path, "trusted.overlay.metacopy", b"x")
    outcome = run_tree(repo, tmp_path / "tree")
    assert outcome.status == 1
    error = outcome.said("error")[0]
    assert f"{root}/" in error
    assert said.get(kind, {"metacopy": "metacopy", "long": "longer"}.get(kind, "UTF-8")) in error
    assert refs(repo) == []


def test_a_fuse_whiteout_with_content_is_refused(tmp_path: Path, repo: Path) -> None:
    base = write(tmp_path / "base", {".wh.x": "somebody's work"})
    driver_home(tmp_path / "tree/fuse-overlayfs", {"base": base})
    outcome = run_tree(repo, tmp_path / "tree")
    assert outcome.status == 1
    assert "base/diff/.wh.x: the file is named like a whiteout" in outcome.said("error")[0]


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_root_that_is_none(tmp_path: Path, repo: Path, name: str) -> None:
    (tmp_path / "file").touch()
    outcome = run_tree(repo, tmp_path / name)
    assert outcome.status == 1
    assert f"{tmp_path}/{name}: No" in outcome.said("error")[0]
    assert "name a directory" in outcome.said("hint")[0]


def test_devices_are_left_out_by_the_option(tmp_path: Path, repo: Path) -> None:
    base = write(tmp_path / "base", {"file": "", "other": ""})
    top = write(tmp_path / "top", {})
    os.mknod(top / "file", stat.S_IFCHR, os.makedev(1, 3))
    root = tmp_path / "tree"
    driver_home(root / "overlay2", {"base": base, "top": top})
    (root / "dev").mkdir()
    os.mknod(root / "dev/null", stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "overlay2/backingFsBlockDev", stat.S_IFBLK, os.makedev(7, 0))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        outcome = run_tree(repo, root)
        assert "a device node" in outcome.said("error")[0]
        document = imported_tree(repo, "--device-nodes=skip", root)
    assert document["left_out"] == {
        "devices": 2,
        "fifos": 0,
        "sockets": 1,
        "backing_devices": 1,
    }
    # Where the layer has the node, what lower layers have there stays hidden.
    names = ls(repo, BRANCH)
    assert "/overlay2/top/diff/.ostree-wh.file" in names
    assert not {"/dev/null", "/socket", "/overlay2/backingFsBlockDev"}.intersection(names)


def test_a_whiteout_and_its_name_in_two_trees(tmp_path: Path, repo: Path) -> None:
    write(tmp_path / "one", {"d/x": ""})
    whiteout(tmp_path / "two/d/x")
    for trees in (("one", "two"), ("two", "one")):
        outcome = run_tree(repo, *(tmp_path / name for name in trees))
        assert "d/x: the name is there, and deleted" in outcome.said("error")[0]


def test_a_whiteout_and_its_name_in_the_base(tmp_path: Path, repo: Path) -> None:
    commit_os(repo, "os/base", os_tree(tmp_path / "os", {"d/x": "", "d/.ostree-wh.y": ""}))
    whiteout(tmp_path / "one/d/x")
    outcome = run_tree(repo, "--onto=os/base", tmp_path / "one")
    assert "d/x: the name is there, and deleted" in outcome.said("error")[0]
    outcome = run_tree(repo, "--onto=os/base", write(tmp_path / "two", {"d/y": ""}))
    assert "d/y: the base commit deletes this name" in outcome.said("error")[0]


def test_composefs_would_show_whiteouts(tmp_path: Path, repo: Path) -> None:
    conf = {"usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled=yes\n"}
    commit_os(repo, "os/base", os_tree(tmp_path / "os", conf))
    whiteout(tmp_path / "one/d/x")
    outcome = run_tree(repo, "--onto=os/base", tmp_path / "one")
    assert "the base commit enables composefs, and the tree has 1" in outcome.said("error")[0]
    # Without a base the tree itself may be such a system.
    whiteout(tmp_path / "os/d/x")
    outcome = run_tree(repo, tmp_path / "os")
    assert outcome.status == 0
    assert "the tree enables composefs" in outcome.stderr
