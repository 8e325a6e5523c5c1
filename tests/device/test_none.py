"""podman upon a store of `--whiteouts=none`: as it lies in a checkout, as a composefs deployment
shows it, and as a user without privileges has it."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE, unpacked
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.lacking import need
from tests.tools.layout import digest_of
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout
from tests.tools.overlay import overlay_mount, read_only, unmount
from tests.tools.podman import Podman, new_podman
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.rootless import new_user
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.tarbuild import Entry, opaque, whiteout

pytestmark = pytest.mark.root


def directories(*names: bytes) -> list[Entry]:
    """Listed, as a real layer has them; without, `podman system check` finds its own copies odd."""
    return [Entry(name, "dir", mode=0o755) for name in names]


BASE = [
    *directories(b"etc", b"srv", b"srv/a", b"srv/a/deep"),
    Entry(b"etc/word", content=b"word\n"),
    Entry(b"top", content=b"top\n"),
    *(Entry(name, content=b"old\n") for name in (b"etc/gone", b"srv/a/x", b"srv/a/deep/y")),
    Entry(b"srv/kept", mode=0o640, uid=33, gid=33, content=b"kept\n"),
]
BLOCKS = [
    *directories(b"etc", b"srv", b"srv/a", b"srv/a/deep"),
    *(whiteout(b"etc/gone"), whiteout(b"srv/a/x"), opaque(b"srv/a/deep")),
    Entry(b"srv/a/new"),
]
ABOVE = [*directories(b"etc"), Entry(b"etc/more", content=b"more\n")]
SECOND = [
    *directories(b"etc", b"srv"),
    whiteout(b"srv/kept"),
    Entry(b"etc/gone", content=b"back\n"),
]
LAST = [*directories(b"etc"), whiteout(b"etc/more")]
#: Deletes in the root directory, so that the layer is cut.
CUT = [whiteout(b"top"), *directories(b"etc"), Entry(b"etc/gone", content=b"back\n")]
#: Changes directories in which a layer deletes: each has to end as in a plain file system.
CHANGES = """
set -e
mv /srv/a /srv/b
test "$(ls /srv/b /srv/b/deep | tr '\\n' ' ')" = "/srv/b: deep new  /srv/b/deep: "
rm -rf /srv
test ! -e /srv
mkdir -p /srv/a
test -z "$(ls -A /srv/a)"
mv /etc/word /etc/moved
rm -r /etc/gone && touch /etc/own
"""


class Images:
    """An image with two layers that hold directories whole, one with a cut layer above such a
    layer, and their store; `sibling` shares the lower layers, and is not in the store."""

    def __init__(self, registry: Registry, home: Path) -> None:
        below = [busybox_layer(), BASE, BLOCKS, ABOVE]
        layout = self.layout = home / "layout"
        self.one = build_oci(layout, "one", [*below, SECOND], config={"Cmd": ["cat", "/etc/word"]})
        self.cut = build_oci(layout, "cut", [*below[:3], CUT, ABOVE])
        self.sibling = build_oci(layout, "sibling", [*below, LAST])
        self.name = registry.push(self.one, "device-none/one:1")
        self.cut_name = registry.push(self.cut, "device-none/cut:1")
        self.other = registry.push(self.sibling, "device-none/sibling:1")
        imported(home / "repo", "--branch=apps", "--whiteouts=none", self.name, self.cut_name)
        self.repo = home / "repo"
        self.tree = checkout(self.repo, "apps", home / "out", passthrough_whiteouts=False)
        self.store = self.tree / STORE
        self.umoci = unpacked(layout, "one", home / "umoci")
        self.umoci_cut = unpacked(layout, "cut", home / "umoci-cut")


@pytest.fixture(scope="module")
def images(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(registry, tmp_path_factory.mktemp("none"))


@pytest.fixture
def upon(images: Images, tmp_path: Path) -> Iterator[Podman]:
    """podman upon the store, which not even root can write to."""
    with read_only(images.store, tmp_path / "store") as store:
        yield new_podman(tmp_path / "podman", store)


def check_exported(directory: Path, built: BuiltImage, number: int | None = None) -> None:
    """A `dir:` has the image's own config, and so many of its layers, by their diffIDs."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    found = [layer["digest"].partition(":")[2] for layer in manifest["layers"]]
    assert tuple(digest_of((directory / one).read_bytes()) for one in found)[:number] == (
        built.diff_ids
    )
    if number is None:
        assert (directory / built.image_id).read_bytes() == built.read(built.config)


def test_containers_show_the_image_and_change_it_as_any_other(images: Images, upon: Podman) -> None:
    assert upon.run(images.name) == "word\n"
    with upon.mounted(images.name) as mounted:
        assert_same(snapshot(mounted), images.umoci, ("podman", "umoci"))
    changes = upon("image", "diff", images.name).splitlines()
    assert {"D /srv/kept", "C /etc", "A /etc/gone"} <= set(changes)
    assert upon.run(images.name, "sh", "-c", CHANGES) == ""
    upon("system", "check")
    with upon.mounted(images.cut_name) as mounted:
        assert_same(snapshot(mounted), images.umoci_cut, ("podman", "umoci"))
    assert upon.run(images.cut_name, "sh", "-c", CHANGES) == ""


def test_a_diff_of_a_container_looks_below_blockers(images: Images, upon: Podman) -> None:
    """podman looks for each new name in all lower directories, the blockers among them."""
    upon.create("c", images.name, "touch", "/srv/a/deep/fresh", "/etc/word", "/srv/a/x")
    upon.start("c")
    changes = set(upon("diff", "c").splitlines())
    assert {"A /srv/a/deep/fresh", "C /etc/word", "C /srv/a/deep"} <= changes
    assert "C /srv/a/x" in changes  # podman finds it in a layer below the blocker


def test_commit_and_build_from(images: Images, upon: Podman, tmp_path: Path) -> None:
    upon.create("c", images.name, "sh", "-c", CHANGES)
    assert upon.start("c") == ""
    upon("commit", "--quiet", "c", "example.org/changed:t")
    assert "D /etc/word" in upon("diff", "c").splitlines()
    upon("rm", "c")  # `system check` misses the parent of its layer, which is in the store
    found = upon.run("example.org/changed:t", "find", "/srv", "/etc", "-type", "f", "-size", "-1")
    assert upon.run("example.org/changed:t", "find", "/srv") == "/srv\n/srv/a\n"
    assert upon.run("example.org/changed:t", "cat", "/etc/moved", "/etc/more") == "word\nmore\n"
    assert "/etc/own" in found.splitlines()
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Containerfile").write_text(
        f"FROM {images.name}\nRUN rm -r /srv && mv /etc/more /etc/less\n"
    )
    upon.build(tmp_path / "context", "example.org/built:t")
    assert upon.run("example.org/built:t", "ls", "/etc/less") == "/etc/less\n"
    assert upon.run("example.org/built:t", "sh", "-c", "ls /srv /etc/more 2>&1 | wc -l") == "2\n"
    upon("system", "check")


def test_exports_have_the_originals_config_and_layers(
    images: Images, upon: Podman, registry: Registry, tmp_path: Path
) -> None:
    source = f"containers-storage:{images.name}"
    run(["skopeo", "copy", "--quiet", source, f"dir:{tmp_path}/copy"], env=upon.environment)
    check_exported(tmp_path / "copy", images.one)
    upon("save", "--quiet", "--format=docker-dir", f"--output={tmp_path}/saved", images.name)
    saved = json.loads((tmp_path / "saved/manifest.json").read_bytes())
    assert len(saved["layers"]) == 5
    pushed = f"{registry.host}/device-none/pushed:1"
    upon("push", "--quiet", "--tls-verify=false", images.name, pushed)
    flags = ["--src-tls-verify=false", "--override-os=linux"]
    run(["skopeo", "copy", "--quiet", *flags, f"docker://{pushed}", f"oci:{tmp_path}/oci:t"])
    again = unpacked(tmp_path / "oci", "t", tmp_path / "again")
    assert_same(again, images.umoci, ("pushed", "umoci"))


def test_a_sibling_that_is_pulled_shows_its_own_files(
    images: Images, upon: Podman, tmp_path: Path
) -> None:
    """containers-storage copies the shared layers out of the store, by their digests."""
    upon("pull", "--quiet", "--tls-verify=false", images.other)
    with upon.mounted(images.other) as mounted:
        theirs = unpacked(images.layout, "sibling", tmp_path / "umoci")
        assert_same(snapshot(mounted), theirs, ("podman", "umoci"))
    upon("system", "check")
    plain = new_podman(upon.home)  # the store is gone, as after an upgrade
    with plain.mounted(images.other) as mounted:
        assert_same(snapshot(mounted), theirs, ("without the store", "umoci"))


def test_below_another_overlay_on_erofs(images: Images, tmp_path: Path) -> None:
    """What a composefs deployment is: whiteouts, devices and overlay xattrs do not get through."""
    image, below = tmp_path / "store.erofs", tmp_path / "below"
    run([need("mkfs.erofs"), "--quiet", image, images.store])
    below.mkdir()
    run(["mount", "-t", "erofs", "-o", "ro,loop", image, below])
    with ExitStack() as stack:
        stack.callback(unmount, below)
        store = stack.enter_context(overlay_mount([below], tmp_path / "store"))
        podman = new_podman(tmp_path / "podman", store)
        with podman.mounted(images.name) as mounted:
            assert_same(snapshot(mounted), images.umoci, ("podman", "umoci"))
        with podman.mounted(images.cut_name) as mounted:
            assert_same(snapshot(mounted), images.umoci_cut, ("podman", "umoci"))
        assert podman.run(images.name, "sh", "-c", CHANGES) == ""


COMPOSEFS = {"usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = yes\n"}
ENGINE = "/usr/etc/containers/containers.conf.d/50-import-image.conf"


def test_user_namespaces_below_another_overlay(images: Images, repo: Path, tmp_path: Path) -> None:
    """An overlayfs cannot be id-mapped; the drop-in of --storage-conf keeps podman from it."""
    commit_os(repo, "os", os_tree(tmp_path / "os", COMPOSEFS))
    imported(repo, "--onto=os", "--branch=device", "--storage-conf", images.name)
    drop_in = tmp_path / "drop-in.conf"
    drop_in.write_text(ostreerepo.ostree(repo, "cat", "device", ENGINE))
    below = tmp_path / "below"
    below.mkdir()
    with overlay_mount([images.store, below], tmp_path / "store") as store:
        podman = new_podman(tmp_path / "podman", store)
        flags = ("--uidmap=0:100000:65536", "--gidmap=0:100000:65536")
        command = ("sh", "-c", "cat /proc/self/uid_map /etc/word && stat -c %u /srv/a")
        with pytest.raises(CommandError, match="mapped mount"):
            podman.run(images.name, *command, flags=flags)
        shown = podman.run(images.name, *command, flags=flags, conf=drop_in)
        assert shown.split() == ["0", "100000", "65536", "word", "0"]


SQUASH = """\
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
mountopt = "squash_to_root"
"""


def test_rootless_and_fuse_overlayfs(images: Images) -> None:
    need("fuse-overlayfs")
    place = Path(tempfile.mkdtemp(prefix="import-image-none-"))
    place.chmod(0o755)
    try:
        published = ostreerepo.init(place / "published", "archive")
        ostreerepo.ostree(published, "pull-local", images.repo, "apps")
        with new_user(place) as user:
            repo, own = user.home / "repo", user.home / "images"
            user.run("ostree", "init", f"--repo={repo}", "--mode=bare-user")
            user.run("ostree", "pull-local", f"--repo={repo}", published, "apps")
            user.run("podman", "unshare", "ostree", "checkout", f"--repo={repo}", "apps", own)
            user.configure(own / STORE)
            assert user.podman_run(images.name, CHANGES) == ""
            system = checkout(published, "apps", place / "system", passthrough_whiteouts=False)
            user.configure(system / STORE, SQUASH)
            assert user.podman_run(images.name, CHANGES) == ""
    finally:
        shutil.rmtree(place)
