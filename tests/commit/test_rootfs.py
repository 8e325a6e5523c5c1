"""`--form rootfs`: an image's root as a commit, run without podman."""

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.images import definition
from tests.tools import umoci
from tests.tools.busybox import busybox_layer
from tests.tools.cgroup2 import with_cgroup2
from tests.tools.entry import Entry, whiteout
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import checkout, fsck, ls
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, assert_same, snapshot

FIXTURES = sorted(
    path.stem for path in (Path(__file__).parent.parent.parent / "fixtures/images").glob("*.layers")
)
ACCOUNTS = [
    Entry(b"etc", "dir", mode=0o755),
    Entry(b"etc/passwd", content=b"root:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"),
    Entry(b"etc/group", content=b"root:x:0:\nextra:x:50:web\n"),
    Entry(b"srv", "dir", mode=0o755, uid=33, gid=34),
    Entry(b"gone", content=b"gone\n"),
    Entry(b"usr", "dir", mode=0o755),  # systemd-nspawn wants one
]
TOP = [whiteout(b"gone")]
APPLETS = ("sh", "id", "pwd", "ls", "cat", "echo", "env")
CONFIG = {
    "User": "web",
    "WorkingDir": "/srv",
    "Env": ["PATH=/bin", "GREETING=hello"],
    "Entrypoint": ["sh", "-c"],
    "Cmd": ["id; pwd; echo $GREETING; ls /"],
}


@pytest.fixture
def image(registry: Registry, layout: Path) -> tuple[str, BuiltImage]:
    """An image that runs as a user of its own, in the registry."""
    layers = [busybox_layer(*APPLETS), ACCOUNTS, TOP]
    built = build_oci(layout, "t", layers, config=CONFIG)
    return registry.push(built, "rootfs/t"), built


def umoci_root(layout: Path, dest: Path) -> Snapshot:
    """What umoci unpacks; the root itself is 0755 root:root, as docs/semantics.md says."""
    found = snapshot(umoci.unpack(layout, "t", dest))
    found[b"."] = replace(found[b"."], mode=0o755, uid=0, gid=0, xattrs={})
    return found


@pytest.mark.root
@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("bundle", [False, True])
def test_the_tree_is_what_umoci_unpacks(
    registry: Registry,
    repo: Path,
    layout: Path,
    tmp_path: Path,
    fixtures: Path,
    name: str,
    bundle: bool,
) -> None:
    built = build_oci(layout, "t", definition.load(fixtures / f"{name}.layers"))
    form = "bundle" if bundle else "rootfs"
    reference = registry.push(built, f"rootfs/{name}")
    imported(repo, f"--form={form}", "--branch=root", reference)
    out = checkout(repo, "root", tmp_path / "out") / ("rootfs" if bundle else ".")
    assert_same(snapshot(out), umoci_root(layout, tmp_path / "umoci"), ("rootfs", "umoci"))
    assert not [path for path in ls(repo, "root") if ".ostree-wh." in path]
    fsck(repo)


@pytest.mark.root
def test_crun_runs_the_bundle(repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]) -> None:
    imported(repo, "--form=bundle", "--branch=bundle", image[0])
    bundle = checkout(repo, "bundle", tmp_path / "bundle")
    crun = ["crun", f"--root={tmp_path / 'state'}", "--cgroup-manager=disabled"]
    argv = [*crun, "run", f"--bundle={bundle}", f"test-{uuid.uuid4().hex}"]
    lines = run(with_cgroup2(argv)).splitlines()
    assert lines[0].startswith("uid=33(web) gid=34")
    assert "50(extra)" in lines[0]
    assert lines[1:3] == ["/srv", "hello"]
    assert "gone" not in lines


@pytest.mark.root
def test_config_json_is_umocis_but_for_the_terminal(
    repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    imported(repo, "--form=bundle", "--branch=bundle", image[0])
    ours = json.loads((checkout(repo, "bundle", tmp_path / "b") / "config.json").read_bytes())
    run(["umoci", "unpack", "--image", f"{layout}:t", tmp_path / "umoci"])
    theirs = json.loads((tmp_path / "umoci/config.json").read_bytes())
    assert theirs["process"].pop("terminal") is True
    assert ours["process"].pop("terminal") is False
    assert ours == theirs


@pytest.mark.root
def test_nspawn_runs_the_root(repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]) -> None:
    imported(repo, "--form=rootfs", "--branch=root", image[0])
    root = checkout(repo, "root", tmp_path / "root")
    # Neither needs a running systemd, with which the machine would else be registered.
    alone = ("--register=no", "--keep-unit", "--console=pipe", "--quiet")
    name = f"--machine=test-{uuid.uuid4().hex[:8]}"
    run_in = ["systemd-nspawn", *alone, name, f"--directory={root}"]
    assert run([*run_in, "/bin/cat", "/etc/group"]).endswith("extra:x:50:web\n")
    listed = run([*run_in, "/bin/ls", "/"]).split()
    assert "srv" in listed
    assert "gone" not in listed


def test_the_same_again_changes_nothing(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    first = imported(repo, "--form=bundle", "--branch=os/b", image[0])
    again = imported(repo, "--form=bundle", "--branch=os/b", image[0])
    assert (again["commit"], again["unchanged"]) == (first["commit"], True)
    other = imported(tmp_path / "other", "--form=bundle", "--branch=os/b", image[0])
    assert other["commit"] == first["commit"]


def test_each_image_has_a_branch_of_its_own(
    registry: Registry, repo: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    other = registry.push(build_oci(layout, "o", [ACCOUNTS]), "rootfs/other:1")
    document = imported(repo, "--form=rootfs", image[0], other)
    branches = [one["branch"] for one in document["images"]]
    assert len(set(branches)) == 2
    assert all(branch.startswith("oci/rootfs/") for branch in branches)
    outcome = run_import(repo, "--form=rootfs", "--branch=x", image[0], other)
    assert outcome.status == 1
    assert "cannot be one root file system" in outcome.stderr


def test_a_user_that_the_image_does_not_have_is_an_error(
    registry: Registry, repo: Path, layout: Path
) -> None:
    built = build_oci(layout, "t", [ACCOUNTS], config={"User": "nobodyhere"})
    reference = registry.push(built, "rootfs/nouser")
    outcome = run_import(repo, "--form=bundle", "--branch=x", reference)
    assert outcome.status == 1
    assert "nobodyhere" in outcome.stderr
    assert imported(repo, "--form=rootfs", "--branch=x", reference)["commit"]
