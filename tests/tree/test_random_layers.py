"""Layers that the kernel's own overlayfs has written, by random changes: merged as before."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.tools.ostreerepo import checkout, fsck
from tests.tools.overlay import overlay_mount, unmount
from tests.tools.process import run
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.treecommit import BRANCH, imported_tree, objects, ostree_commit
from tests.tree.test_in_place import documented
from tests.tree.test_whiteouts import driver_home, lowers

pytestmark = pytest.mark.root

SEEDS = range(12)
# The kernel's own default, and Fedora's setting for podman, by which a file's data stays below.
WRITING = (",redirect_dir=off,metacopy=off,index=off", ",redirect_dir=on,metacopy=on,index=off")
READING = ("", ",redirect_dir=follow,metacopy=on")
LAYERS = ("one", "two", "three", "four")
NAMES = ("a", "b", "c", "d")
CHANGES = 14


def change(root: Path, chance: random.Random) -> None:
    """One change at a random place: a file, a directory, a link; or something goes."""
    place = root
    while below := [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]:
        if chance.random() < 0.4:
            break
        place = chance.choice(sorted(below))
    path = place / chance.choice(NAMES)
    if path.is_file() and not path.is_symlink() and chance.random() < 0.6:
        change_file(path, chance)
        return
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        if chance.random() < 0.3:
            path.chmod(chance.choice((0o700, 0o755)))
            return
        shutil.rmtree(path)
    kind = chance.choice(("file", "directory", "directory", "link", "nothing"))
    if kind == "file":
        path.write_text(str(chance.random()))
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("a")


def change_file(path: Path, chance: random.Random) -> None:
    """Other metadata, or another name."""
    other = path.with_name(chance.choice(NAMES))
    kind = chance.choice(("chown", "chmod", "rename", "link"))
    if kind == "chown":
        os.chown(path, chance.randrange(9), 5)
    elif kind == "chmod":
        path.chmod(chance.choice((0o600, 0o4711, 0o644)))
    elif not (other == path or other.is_dir() or other.is_symlink()):
        other.unlink(missing_ok=True)
        path.rename(other) if kind == "rename" else os.link(path, other)


def written(where: Path, seed: int) -> dict[str, Path]:
    """Layers, base first: each is what overlayfs wrote when the merged tree was changed."""
    chance = random.Random(seed)
    layers: dict[str, Path] = {}
    for name in LAYERS:
        upper, work, merged = (where / f"{name}-{kind}" for kind in ("upper", "work", "merged"))
        for directory in (upper, work, merged):
            directory.mkdir(parents=True)
        if layers:
            below = ":".join(str(layer) for layer in reversed(layers.values()))
            options = f"lowerdir={below},upperdir={upper},workdir={work}"
            options += WRITING[seed % 2]
            run(["mount", "-t", "overlay", "overlay", "-o", options, merged])
        try:
            for _ in range(CHANGES):
                change(merged if layers else upper, chance)
        finally:
            if layers:
                unmount(merged)
        layers[name] = upper
    return layers


def check(seeds: range, tmp_path: Path, repo: Path) -> None:
    """Commit the stores of all seeds at once, deploy them, and translate them in place."""
    tree = tmp_path / "tree"
    for seed in seeds:
        driver_home(tree / f"{seed}/overlay2", written(tmp_path / str(seed), seed))
    before = {}
    for seed in seeds:
        for top in range(1, len(LAYERS) + 1):
            layers = lowers(tree / f"{seed}/overlay2", *LAYERS[:top])
            with overlay_mount(layers, tmp_path / "mounted", READING[seed % 2]) as mounted:
                before[seed, top] = snapshot(mounted)
    disk = snapshot(tree, ignore_xattrs=())
    document = imported_tree(repo, tree)
    fsck(repo)
    assert document["opaque_expanded"] != 0
    assert document["opaque_kept"] == 0
    out = checkout(repo, BRANCH, tmp_path / "out")
    for (seed, top), theirs in before.items():
        layers = lowers(out / f"{seed}/overlay2", *LAYERS[:top])
        with overlay_mount(layers, tmp_path / "mounted") as mounted:
            assert_same(snapshot(mounted), theirs, (f"seed {seed}, {top} layers", "before"))
    assert documented(tree)["filled"] != 0
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tree}")
    documented("--undo", tree)
    assert_same(snapshot(tree, ignore_xattrs=()), disk, ("undone", "before"), ignore=("links",))


def test_the_merged_tree_stays(tmp_path: Path, repo: Path) -> None:
    check(SEEDS, tmp_path, repo)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(1000, 1300, 12))
def test_hundreds_of_merged_trees_stay(tmp_path: Path, repo: Path, first: int) -> None:
    check(range(first, first + 12), tmp_path, repo)
