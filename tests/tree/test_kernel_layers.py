"""Layers as the kernel, podman and composefs really write them: nothing is lost without a word."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.image import build_oci
from tests.tools.ostreerepo import checkout, ls
from tests.tools.overlay import overlay_mount, unmount
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, assert_same, snapshot
from tests.tools.tarbuild import Entry
from tests.tools.treecommit import (
    BRANCH,
    CAPABILITY,
    imported_tree,
    objects,
    ostree_commit,
    run_tree,
)
from tests.tree.test_in_place import documented, in_place
from tests.tree.test_whiteouts import driver_home, lowers, whiteout, write

pytestmark = pytest.mark.root

BASE = {"owned": "o", "moved": "m", "linked": "l", "capable": "c", "d/deep": "x" * 9000, "e/f": "f"}
METACOPY = ",metacopy=on,redirect_dir=on,index=off"
FOLLOW = ",metacopy=on,redirect_dir=follow"


@contextmanager
def writable(layers: Sequence[Path], upper: Path, options: str) -> Iterator[Path]:
    """The kernel's overlayfs over the layers, nearest first, which writes to `upper`."""
    work, merged = (upper.with_name(f"{upper.name}-{kind}") for kind in ("work", "merged"))
    for directory in (upper, work, merged):
        directory.mkdir(parents=True)
    below = ":".join(map(str, layers))
    mounted = f"lowerdir={below},upperdir={upper},workdir={work}{options}"
    run(["mount", "-t", "overlay", "overlay", "-o", mounted, merged])
    try:
        yield merged
    finally:
        unmount(merged)


def merged(home: Path, names: Sequence[str], where: Path, options: str = "") -> Snapshot:
    """What the kernel shows of a driver's layers, base first."""
    with overlay_mount(lowers(home, *names), where, options) as mounted:
        return snapshot(mounted)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A base, and two layers of metadata alone."""
    base = write(tmp_path / "base", BASE)
    os.setxattr(base / "capable", "security.capability", CAPABILITY)
    with writable([base], tmp_path / "middle", METACOPY) as tree:
        os.chown(tree / "owned", 7, 8)
        (tree / "moved").rename(tree / "e/elsewhere")
        (tree / "d/deep").chmod(0o4711)
        (tree / "capable").chmod(0o700)
        os.link(tree / "linked", tree / "d/hardlink")
    with writable([tmp_path / "middle", base], tmp_path / "top", METACOPY) as tree:
        os.chown(tree / "e/elsewhere", 9, 9)
        (tree / "e/elsewhere").rename(tree / "e/again")
        (tree / "owned").chmod(0o600)
    for name in ("middle/owned", "middle/e/elsewhere", "top/e/again", "middle/d/hardlink"):
        assert os.getxattr(tmp_path / name, "trusted.overlay.metacopy") == b""
    layers = {name: tmp_path / name for name in ("base", "middle", "top")}
    return driver_home(tmp_path / "tree/overlay2", layers)


NAMES = ("base", "middle", "top")


def test_a_metacopy_file_gets_the_data_of_its_lower_layer(
    home: Path, tmp_path: Path, repo: Path
) -> None:
    before = {n: merged(home, NAMES[:n], tmp_path / "m", FOLLOW) for n in (2, 3)}
    disk = snapshot(tmp_path / "tree", ignore_xattrs=())
    imported_tree(repo, tmp_path / "tree")
    assert imported_tree(repo, tmp_path / "tree")["read"] != 0  # its data may change
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay2"
    for count, theirs in before.items():
        ours = merged(out, NAMES[:count], tmp_path / "m")
        assert_same(ours, theirs, ("deployed", "before"), ignore=("mtime_ns", "links"))
    assert documented(tmp_path / "tree")["filled"] == 8
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tmp_path}/tree")
    documented("--undo", tmp_path / "tree")
    assert_same(snapshot(tmp_path / "tree", ignore_xattrs=()), disk, ignore=("links",))
    assert merged(home, NAMES, tmp_path / "m", FOLLOW) == before[3]


@pytest.mark.parametrize(
    "lost", ["removed", "other size", "whiteout", "opaque", "no lower", "plain"]
)
def test_data_that_is_not_there_is_refused(
    home: Path, tmp_path: Path, repo: Path, lost: str
) -> None:
    tree, name = tmp_path / "tree", "owned:"
    base = home / "base/diff/owned"
    if lost == "removed":
        base.unlink()
    elif lost == "other size":
        base.write_text("more")
    elif lost == "whiteout":
        base.unlink()
        whiteout(base)
    elif lost == "opaque":
        name = "middle/diff/d/deep:"
        os.setxattr(home / "middle/diff/d", "trusted.overlay.opaque", b"y")
    elif lost == "no lower":
        (home / "l/LINKBASE").unlink()
    else:
        run(["cp", "-a", home / "middle/diff", tmp_path / "upper"])
        tree, name = tmp_path / "upper", "upper/capable:"
    said = [run_tree(repo, tree).said("error")[0], in_place(tree).said("error")[0]]
    for error in said:
        assert f"{tree}/" in error
        assert name in error
        assert "its data is in a lower layer, where it is not to be found" in error


def test_podman_with_fedora_s_mount_options(
    tmp_path: Path, registry: Registry, layout: Path, repo: Path
) -> None:
    """The case that a release committed as zeros: create, mount, chown."""
    image = registry.push(
        build_oci(layout, "metacopy", [[Entry(b"etc", "dir"), Entry(b"etc/f", content=b"data")]]),
        "tree/metacopy:1",
    )
    podman = new_podman(tmp_path / "podman")
    conf = podman.home / "storage.conf"
    conf.write_text(conf.read_text() + 'mountopt = "nodev,metacopy=on"\n')
    podman("pull", "--quiet", "--tls-verify=false", image)
    container = podman("create", "--pull=never", "--network=none", image, "/x").strip()
    place = Path(podman("mount", container).strip())
    os.chown(place / "etc/f", 5, 6)
    podman("umount", container)
    found = list((podman.home / "root/overlay").glob("*/diff/etc/f"))
    [upper] = [path for path in found if "trusted.overlay.metacopy" in os.listxattr(path)]
    imported_tree(repo, podman.home / "root")
    out = checkout(repo, BRANCH, tmp_path / "out")
    file = out / upper.relative_to(podman.home / "root")
    assert file.read_bytes() == b"data"
    assert (file.stat().st_uid, file.stat().st_gid) == (5, 6)
    assert "trusted.overlay.metacopy" not in os.listxattr(file)
    podman("rm", "--force", container)


def test_a_whiteout_by_an_empty_xattr(tmp_path: Path, repo: Path) -> None:
    """As composefs writes it."""
    base = write(tmp_path / "base", {"d/gone": "x", "d/kept": "y"})
    top = write(tmp_path / "top", {"d/gone": ""})
    os.setxattr(top / "d/gone", "trusted.overlay.whiteout", b"")
    for directory in (top, top / "d"):
        os.setxattr(directory, "trusted.overlay.opaque", b"x")
    home = driver_home(tmp_path / "tree/overlay2", {"base": base, "top": top})
    before = merged(home, ("base", "top"), tmp_path / "m")
    assert set(before) == {b".", b"d", b"d/kept"}
    imported_tree(repo, tmp_path / "tree")
    assert "/overlay2/top/diff/d/.ostree-wh.gone" in ls(repo, BRANCH)
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay2"
    assert_same(merged(out, ("base", "top"), tmp_path / "m"), before)


def test_what_is_left_out_of_a_layer_hides_what_is_below(tmp_path: Path, repo: Path) -> None:
    names = ("socket", "backingFsBlockDev", "null")
    base = write(tmp_path / "base", dict.fromkeys(names, "x"))
    top = write(tmp_path / "top", {"own": ""})
    os.mknod(top / "backingFsBlockDev", stat.S_IFBLK, os.makedev(7, 0))
    os.mknod(top / "null", stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(top / "socket", stat.S_IFSOCK | 0o755)
    home = driver_home(tmp_path / "tree/overlay2", {"base": base, "top": top})
    assert "a device node" in run_tree(repo, tmp_path / "tree").said("error")[0]
    imported_tree(repo, "--device-nodes=skip", tmp_path / "tree")
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay2"
    assert set(merged(out, ("base", "top"), tmp_path / "m")) == {b".", b"own"}
    documented("--device-nodes=skip", tmp_path / "tree")
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tmp_path}/tree")
    assert (home / "top/diff/.ostree-wh.socket").is_file()


@pytest.mark.parametrize("name", ["fuse-overlayfs", "overlay2"])
def test_a_root_that_is_a_link_to_a_driver_s_home(tmp_path: Path, repo: Path, name: str) -> None:
    base = write(tmp_path / "base", {"gone": "x"})
    top = write(tmp_path / "top", {".wh.gone": ""})
    driver_home(tmp_path / "tree" / name, {"base": base, "top": top})
    other = {"overlay2": "fuse-overlayfs", "fuse-overlayfs": "overlay2"}[name]
    (tmp_path / other).symlink_to(f"tree/{name}")
    imported_tree(repo, tmp_path / other)
    quoted = "/top/diff/.ostree-wh.gone" in ls(repo, BRANCH)
    assert quoted == (name == "fuse-overlayfs")
    documented(tmp_path / other)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tmp_path}/tree/{name}")


@pytest.mark.parametrize("flag", ["true", "false", None])
def test_the_driver_s_own_record_tells_who_wrote_its_layers(
    tmp_path: Path, repo: Path, flag: str | None
) -> None:
    base = write(tmp_path / "base", {"f": "x", "d/a": "a", "top": ""})
    top = write(tmp_path / "top", {".wh.f": "", "d/b": "b", "d/.wh..wh..opq": ""})
    home = driver_home(tmp_path / "tree/overlay", {"base": base, "top": top})
    if flag is not None:
        (home / ".has-mount-program").write_text(flag)
    names = ("base", "top")
    before = merged(home, names, tmp_path / "m")
    imported_tree(repo, tmp_path / "tree")
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay"
    after = merged(out, names, tmp_path / "m")
    if flag == "false":
        assert_same(after, before)
    else:
        assert set(after) == {b".", b"d", b"d/b", b"top"}


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "userxattr"])
def test_the_kernel_obeys_one_namespace(tmp_path: Path, repo: Path, trusted: bool) -> None:
    files = {"d/a": "a", "e/a": "a", "w/gone": "x", "w/other": "y"}
    base = write(tmp_path / "base", files)
    top = write(tmp_path / "top", {"d/b": "b", "e/b": "b", "w/gone": ""})
    os.setxattr(top / "d", "user.overlay.opaque", b"y")
    os.setxattr(top / "w/gone", "user.overlay.whiteout", b"y")
    os.setxattr(top / "w", "user.overlay.opaque", b"x")
    os.setxattr(top, "user.overlay.opaque", b"x")
    if trusted:
        os.setxattr(top / "d", "user.fuseoverlayfs.opaque", b"y")
        os.setxattr(top, "trusted.overlay.opaque", b"y")  # of the root: nobody looks
        os.setxattr(top / "e", "trusted.overlay.opaque", b"y")
    home = driver_home(tmp_path / "tree/overlay2", {"base": base, "top": top})
    names, options = ("base", "top"), "" if trusted else ",userxattr"
    before = merged(home, names, tmp_path / "m", options)
    assert (b"d/a" in before) == trusted
    assert (b"e/a" in before) != trusted
    assert (b"w/gone" in before) == trusted
    imported_tree(repo, tmp_path / "tree")
    out = checkout(repo, BRANCH, tmp_path / "out") / "overlay2"
    after = merged(out, names, tmp_path / "m", options)
    assert_same(after, before)
    documented(tmp_path / "tree")
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tmp_path}/tree")
    shutil.rmtree(out)
