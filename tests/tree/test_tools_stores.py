"""Stores that podman and fuse-overlayfs have made themselves, committed as parts of a tree."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.image import build_oci
from tests.tools.importimage import NOBODY, imported_storage, run_import
from tests.tools.listedimages import IMAGES
from tests.tools.ostreerepo import checkout, fsck, init, ls, ostree
from tests.tools.overlay import overlay_mount
from tests.tools.podman import Podman, new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.store import store_layers
from tests.tools.treecommit import BRANCH, imported_tree, run_tree
from tests.tree.test_whiteouts import driver_home, write

pytestmark = pytest.mark.root

PLACE = "usr/lib/containers/storage"


def test_podman_s_own_store(
    podman: Podman, registry: Registry, layout: Path, tmp_path: Path, repo: Path
) -> None:
    references = {}
    for name, layers in IMAGES.items():
        references[name] = registry.push(build_oci(layout, name, layers), f"tree/{name}:1")
    podman("pull", "--quiet", "--tls-verify=false", *references.values())
    tree = tmp_path / "tree"
    (tree / "usr/lib/containers").mkdir(parents=True)
    run(["cp", "-a", podman.home / "root", tree / PLACE])
    document = imported_tree(repo, tree)
    fsck(repo)
    assert document["opaque_kept"] == 0
    assert document["opaque_expanded"] == 1
    assert not any(name.endswith("backingFsBlockDev") for name in ls(repo, BRANCH))
    # The layers are those of import-storage, which reads them by podman's records of their tars.
    records = init(tmp_path / "records")
    imported_storage(records, "--form=layers", podman.home / "root")
    for layer in (one["id"] for one in store_layers(tree / PLACE)):
        ours = ostree(repo, "ls", "-d", "-C", BRANCH, f"/{PLACE}/overlay/{layer}/diff")
        theirs = ostree(records, "ls", "-d", "-C", f"oci/layer/{layer}", "/")
        assert ours.split()[4] == theirs.split()[4]
    store = checkout(repo, BRANCH, tmp_path / "os") / PLACE
    device = new_podman(tmp_path / "device", store)
    for reference in references.values():
        with podman.mounted(reference) as mounted:
            theirs_mounted = snapshot(mounted)
        with device.mounted(reference) as mounted:
            assert_same(snapshot(mounted), theirs_mounted, ("the device's", "podman's"))


@contextmanager
def fuse_overlayfs(lowers: list[Path], where: Path, upper: Path | None = None) -> Iterator[Path]:
    """The layers as fuse-overlayfs merges them, nearest first; it writes to `upper`."""
    where.mkdir(exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lowers))}"
    if upper is not None:
        upper.mkdir()
        (work := upper.with_name(f"{upper.name}-work")).mkdir()
        options += f",upperdir={upper},workdir={work}"
    run(["fuse-overlayfs", "-o", options, where])
    try:
        yield where
    finally:
        run(["umount", where])


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="the kernel has no FUSE")
def test_layers_that_fuse_overlayfs_has_written(tmp_path: Path, repo: Path) -> None:
    base = write(
        tmp_path / "base", {"gone": "1", "d/a": "a", "d/sub/b": "b", "kept": "k", "e/x": ""}
    )
    with fuse_overlayfs([base], tmp_path / "merged", tmp_path / "upper") as merged:
        (merged / "gone").unlink()
        shutil.rmtree(merged / "d")
        (merged / "d/sub").mkdir(parents=True)
        (merged / "d/sub/new").write_text("new")
        (merged / "e/x").rename(merged / "e/y")
    upper = tmp_path / "upper"
    # What it writes where it cannot make devices: its main.c, `create_whiteout`.
    (upper / ".wh.kept").touch()
    forms = {stat.S_IFMT(path.lstat().st_mode) for path in upper.rglob("*gone*")}
    assert forms == {stat.S_IFCHR}
    home = driver_home(tmp_path / "tree/fuse-overlayfs", {"base": base, "upper": upper})
    lowers = [home / name / "diff" for name in ("upper", "base")]
    with fuse_overlayfs(lowers, tmp_path / "merged") as merged:
        before = snapshot(merged, (b"*",))
    assert not {b"gone", b"kept", b"d/a", b"d/sub/b", b"e/x"}.intersection(before)
    imported_tree(repo, tmp_path / "tree")
    out = checkout(repo, BRANCH, tmp_path / "out") / "fuse-overlayfs"
    lowers = [out / name / "diff" for name in ("upper", "base")]
    with overlay_mount(lowers, tmp_path / "mounted") as mounted:
        assert_same(snapshot(mounted, (b"*",)), before)


def test_somebody_else_s_marks_are_not_overlooked(unprivileged: Path) -> None:
    """The kernel shows root's overlay xattrs to root alone, so what they hide would be back."""
    tree = unprivileged / "tree"
    base = write(unprivileged / "base", {"d/a": ""})
    top = write(unprivileged / "top", {"d/b": ""})
    os.setxattr(top / "d", "trusted.overlay.opaque", b"y")
    driver_home(tree / "overlay2", {"base": base, "top": top})
    repo = unprivileged / "repo"
    outcome = run_import(repo, "--branch=os/tree", tree, command="import-tree", wrapper=NOBODY)
    assert outcome.status == 1
    assert "overlay xattrs are not visible" in outcome.said("error")[0]
    run(["chown", "-R", "65534:65534", tree])
    own = run_import(repo, "--branch=os/tree", tree, command="import-tree", wrapper=NOBODY)
    assert own.status == 0
    assert run_tree(unprivileged / "root-s", tree).status == 0
