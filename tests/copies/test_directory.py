"""`--to DIR`: as root and as other users, from a registry to a started container."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from importer.copies.directory import MARKER
from tests.copies.conftest import Images, store_in
from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry
from tests.tools.expected import STORE, blocker_id, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import NOBODY, SCRIPT, Run, imported_storage
from tests.tools.ostreerepo import checkout
from tests.tools.podman import Podman, new_podman
from tests.tools.rootless import new_user
from tests.tools.snapshot import assert_same, snapshot

pytestmark = pytest.mark.root


def in_the_commit(images: Images, commit: str, dest: Path) -> Path:
    """The store in the cache's commit, as ostree deploys it."""
    return checkout(images.cache / "import-image/repo", commit, dest) / STORE


def test_podman_starts_containers_from_it(images: Images, tmp_path: Path) -> None:
    commit = images.copied(tmp_path / "store")
    plain = snapshot(in_the_commit(images, commit, tmp_path / "plain"))
    del plain[b"."]
    assert_same(store_in(tmp_path / "store"), plain, ("copied", "committed"))
    assert json.loads((tmp_path / "store" / MARKER).read_bytes()) == {"commit": commit}
    podman = new_podman(tmp_path / "podman", tmp_path / "store")
    for tag, reference in {"cut": images.cut, "one": images.one}.items():
        assert podman.run(reference) == tag
        theirs = unpacked(images.home / "images", tag, tmp_path / f"umoci-{tag}")
        with podman.mounted(reference) as mounted:
            assert_same(snapshot(mounted), theirs, ("podman", "umoci"))


def changes(root: Path) -> dict[Path, tuple[int, int]]:
    """Each file's inode and the time when anything of it was last changed."""
    found = {path: path.lstat() for path in (root, *root.rglob("*"))}
    return {path: (status.st_ino, status.st_ctime_ns) for path, status in found.items()}


def damage(store: Path, data: Path) -> set[Path]:
    """Change files in each way; those that have no other link, which is linked again."""
    content = bytearray((data / "big").read_bytes())
    content[0] ^= 1
    for name in ("empty", "big", "link", "again", "other-mode"):
        (data / name).unlink()
    (data / "big").write_bytes(content)
    (data / "other-mode").write_bytes(content)
    (data / "link").symlink_to("elsewhere")
    (data / "again/in/the/way").mkdir(parents=True)
    (data / "more").write_text("more")
    (store / "overlay-layers/layers.json").unlink()
    names = ("empty", "big", "link", "again", "other-mode")
    return {*(data / name for name in names), store / "overlay-layers/layers.json"}


def test_an_update_repairs_what_differs_and_touches_nothing_else(
    images: Images, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    commit = images.copied(store)
    before, right = changes(store), snapshot(store)
    same = images.to(store, "--update", "--unchanged-exit-77", "--json")
    assert (same.status, same.document["to"]) == (
        77, {"place": str(store), "unchanged": True, "digest": None},
    )  # fmt: skip
    assert changes(store) == before
    (link,) = (path for path in store.glob("overlay/*/diff/data/link"))
    repaired = damage(store, link.parent)
    assert images.copied(store, "--update") == commit
    assert_same(snapshot(store), right, ("updated", "new"))
    after = changes(store)
    # The number of a file's links is its own change, too.
    new = {path for path in after if after[path][0] != before[path][0]}
    assert new <= repaired
    folders = {path for path in after if path.is_dir() and after[path] != before[path]}
    assert folders == {link.parent, store / "overlay-layers"}


def test_an_update_to_another_set_of_images(images: Images, tmp_path: Path) -> None:
    """The layers that both have are not touched, and the others go."""
    store = tmp_path / "store"
    images.copied(store)
    before = changes(store)
    images.copied(store, "--update", images.one)
    images.copied(tmp_path / "new", images.one)
    assert_same(snapshot(store), snapshot(tmp_path / "new"), ("updated", "new"))
    layers = {path: inode for path, (inode, _) in changes(store).items() if "diff" in path.parts}
    assert layers == {path: before[path][0] for path in layers}


def test_a_killed_run_is_completed(images: Images, tmp_path: Path) -> None:
    """Wherever it is killed: at a different layer each time."""
    images.copied(tmp_path / "right")
    right, store = snapshot(tmp_path / "right"), tmp_path / "store"
    env = {"XDG_CACHE_HOME": str(images.cache)}
    for layers in (1, 3, 5):
        run = Run(None, f"--to={store}", "--update", images.cut, images.one, env=env)
        while len(list(store.glob("overlay/*/diff"))) < layers and run.process.poll() is None:
            time.sleep(0.001)
        run.send(signal.SIGKILL)
        assert run.finish().status in (0, -signal.SIGKILL)
        images.copied(store, "--update")
        assert_same(snapshot(store), right, ("completed", "right"))
        shutil.rmtree(store)


def components(root: Path) -> dict[Path, bytes]:
    """Each file's component, as chunkah and rpm-ostree tell it (src/components/xattr.rs, 2026-08;
    rust/src/container.rs, 2026-06): its own xattr's, or that of the nearest directory's above."""
    found: dict[Path, bytes] = {root: b""}
    for path in sorted(root.rglob("*")):
        own = dict.fromkeys(os.listxattr(path, follow_symlinks=False))
        name = os.getxattr(path, "user.component") if "user.component" in own else b""
        found[path] = name or found[path.parent]
    return {path: name for path, name in found.items() if not path.is_dir() or path.is_symlink()}


def test_tools_that_divide_images_keep_layers_apart(images: Images, tmp_path: Path) -> None:
    """All of a layer's files are one component, and records are none; an update takes it back."""
    store = tmp_path / "store"
    images.copied(store, "--component-days=30")
    layers = json.loads((store / "overlay-layers/layers.json").read_bytes())
    blockers = {blocker_id(layer["id"]): layer["id"] for layer in layers}
    found = components(store)
    for path, component in found.items():
        part, *below = path.relative_to(store).parts
        layer = below[0].removesuffix(".tar-split.gz") if below else ""
        layer = blockers.get(layer, layer)
        is_layer = part != "overlay-images" and len(layer) == 64
        assert component == (f"container-layer-{layer}".encode() if is_layer else b""), path
    assert len(set(found.values())) == len(layers) + 1
    (folder,) = store.glob(f"overlay/{layers[0]['id']}")
    assert os.getxattr(folder, "user.update-interval") == b"30"
    again = images.to(store, "--component-days=30", "--update", "--unchanged-exit-77")
    assert again.status == 77, again.stderr
    images.copied(store, "--update")
    assert set(components(store).values()) == {b""}
    refused = images.to(f"tar:{tmp_path}/tar", "--component-days=30")
    assert refused.status == 2


def test_what_is_not_ours_is_refused_before_anything_is_fetched(
    images: Images, tmp_path: Path, podman: Podman
) -> None:
    store, env = tmp_path / "store", {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    store.mkdir()
    (store / "notes").write_text("mine")
    podman("images")
    for place in (store, podman.home / "root"):
        for flags in ((), ("--update",), ("--dry-run",)):
            refused = images.to(place, *flags, env=env)
            assert refused.said("error") == [f"{place} is not empty, and no store that --to made"]
    (store / "notes").unlink()
    images.copied(store)
    assert images.to(store).said("hint") == ["--update changes it"]
    (store / MARKER).write_text("[")
    assert images.to(store, "--update").status == 1
    assert not (tmp_path / "cache").exists()


def test_the_empty_store_of_a_package_is_taken(images: Images, tmp_path: Path) -> None:
    """As containers-common of Fedora has it at /usr/lib/containers/storage."""
    store = tmp_path / "store"
    for name in ("overlay-images/images.lock", "overlay-layers/layers.lock"):
        (store / name).parent.mkdir(parents=True)
        (store / name).touch()
    images.copied(store)
    images.copied(tmp_path / "new")
    assert_same(snapshot(store), snapshot(tmp_path / "new"), ("taken", "new"))


def test_whiteouts_where_they_can_be_made(images: Images, tmp_path: Path) -> None:
    commit = images.copied(tmp_path / "store", "--whiteouts=quoted", "--branch=quoted")
    plain = snapshot(in_the_commit(images, commit, tmp_path / "plain"))
    del plain[b"."]
    assert [node for node in plain.values() if node.kind == "char"]
    assert_same(store_in(tmp_path / "store"), plain, ("copied", "committed"))
    assert images.copied(tmp_path / "store", "--whiteouts=quoted", "--branch=quoted", "--update")
    assert new_podman(tmp_path / "podman", tmp_path / "store").run(images.cut) == "cut"


def test_another_user_has_all_files(images: Images, unprivileged: Path, tmp_path: Path) -> None:
    """None belongs to others, no set-id bit is left for a wrong owner, and nobody else looks in."""
    store = unprivileged / "store"
    how = {"XDG_CACHE_HOME": str(unprivileged / "cache")}
    outcome = images.to(store, wrapper=NOBODY, env=how)
    assert outcome.status == 0, outcome.stderr
    assert "files of the store should belong to others than root, or have xattrs" in outcome.stderr
    ours, root = snapshot(store), images.copied(tmp_path / "store")
    assert root == outcome.stdout.strip()
    assert {node.uid for node in ours.values()} == {65534}
    assert store.stat().st_mode & 0o7777 == 0o700
    theirs = snapshot(tmp_path / "store")
    for path in theirs.keys() - {b"."}:
        node, other = ours[path], theirs[path]
        assert (node.kind, node.sha256, node.target) == (other.kind, other.sha256, other.target)
        lost = 0o6000 if (other.uid, other.gid) != (0, 0) else 0
        assert node.kind == "symlink" or node.mode == other.mode & ~lost
    again = images.to(store, "--update", "--unchanged-exit-77", wrapper=NOBODY, env=how)
    assert again.status == 77, again.stderr
    images.copied(store, "--update", images.one, wrapper=NOBODY, env=how)


def test_root_without_the_ids(images: Images, unprivileged: Path) -> None:
    """A user namespace with one id has no other owners."""
    how = {"XDG_CACHE_HOME": str(unprivileged / "cache")}
    alone = images.to(unprivileged / "s", wrapper=(*NOBODY, "unshare", "-r"), env=how)
    (error,) = alone.said("error")
    assert "data/empty cannot be given to 5:0, mode 640: Invalid argument" in error
    (hint,) = alone.said("hint")
    assert "as in `podman unshare`; --to tar:FILE needs none; branch oci/to/" in hint
    assert hint.endswith(" has moved; the same command completes the copy")
    again = images.to(unprivileged / "s", wrapper=(*NOBODY, "unshare", "-r"), env=how)
    assert again.said("hint")[0].endswith("--to tar:FILE needs none")
    # What the failed run has left is completed.
    images.copied(unprivileged / "s", wrapper=NOBODY, env=how)
    assert images.to(unprivileged / "s", wrapper=NOBODY, env=how).status == 1


def test_rootless_podman_unshare_keeps_the_owners(images: Images, unprivileged: Path) -> None:
    """A user's own store: made with the user's sub-ids, and used by the user's podman."""
    place = unprivileged / "user"
    place.mkdir()
    for path in (place, unprivileged):
        path.chmod(0o755)
    with new_user(place) as user:
        store = user.home / "store"
        odd = [Entry(b"data", "dir", mode=0o1777, uid=1000, gid=42), Entry(b"data/su", mode=0o4755)]
        layout = build_oci(place / "images", "one", [busybox_layer(), odd]).directory
        command = (SCRIPT, f"--to={store}", f"q.io/a/one:1=oci:{layout}:one")
        user.run("podman", "unshare", *command)
        user.configure(store)
        said = user.podman_run("q.io/a/one:1", "stat -c %u:%g:%a /data /data/su")
        assert said == "1000:42:1777\n0:0:4755\n"


def test_import_storage_writes_a_copy_too(images: Images, tmp_path: Path, podman: Podman) -> None:
    podman("pull", "--quiet", "--tls-verify=false", images.cut)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    store = tmp_path / "store"
    document = imported_storage(None, f"--to={store}", podman.home / "root", env=env)
    assert document["to"] == {"place": str(store), "unchanged": False, "digest": None}
    assert new_podman(tmp_path / "other", store).run(images.cut) == "cut"
