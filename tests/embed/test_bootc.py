"""Embedded images where they are used: imported as bootc does it and deployed, and by podman."""

import json
import os
from pathlib import Path

import pytest

from tests.embed.conftest import BASE, CONTEXTS, POLICY, Site
from tests.tools import bootc, umoci
from tests.tools.busybox import busybox_layer
from tests.tools.device import OS, Device
from tests.tools.entry import Entry
from tests.tools.expected import STORE, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, ostree
from tests.tools.podman import Podman, new_podman
from tests.tools.process import run
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.storecommand import image_store

pytestmark = pytest.mark.root

#: As the base image has it; libostree reads the file contexts, and no more of the policy.
SYSTEM = {
    f"usr/{POLICY}": CONTEXTS,
    "usr/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=small\n",
    "usr/etc/selinux/small/policy/policy.33": "not read\n",
}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A sysroot whose repo has a commit `os`."""
    device = Device(tmp_path / "device")
    device.sysroot.mkdir(parents=True)
    run(["ostree", "admin", "init-fs", "--modern", device.sysroot])
    device.admin("os-init", OS)
    ostree(device.repo, "config", "set", "sysroot.bootloader", "none")
    root = os_tree(tmp_path / "os", SYSTEM)
    commit_os(device.repo, "os", root, f"--selinux-policy={root}")
    return device


def label(path: Path) -> str:
    return os.getxattr(path, "security.selinux", follow_symlinks=False).rstrip(b"\0").decode()


def test_bootc_deploys_it(site: Site, tmp_path: Path, device: Device) -> None:
    """A store with a layer that deletes, and one that shares the layers below it."""
    site.embedded("shared")
    tars = bootc.derived_layers(site.out, "shared", site.base)
    bootc.import_image(device.repo, "os", tars, tmp_path / "work", "booted")
    fsck(device.repo)
    device.admin("deploy", f"--os={OS}", "--karg=root=none", "booted")
    device.boot()
    store = device.current / STORE
    plain = checkout(site.repo, "shared", tmp_path / "plain") / STORE
    assert_same(snapshot(store), snapshot(plain), ("deployed", "committed"))
    # By the rule for podman's own storage, which the last layer makes one for the store as well.
    assert label(store / "overlay-images/images.json") == "system_u:object_r:store_t:s0"
    assert label(device.current / "usr/lib/os-release") == "system_u:object_r:lib_t:s0"
    podman = new_podman(tmp_path / "podman", store)
    for tag in ("cut", "one"):
        assert podman.run(f"q.io/a/{tag}:1") == tag
        theirs = unpacked(site.home / "images", tag, tmp_path / f"umoci-{tag}")
        with podman.mounted(f"q.io/a/{tag}:1") as mounted:
            assert_same(snapshot(mounted), theirs, ("podman", "umoci"))


#: cap_dac_override,cap_fowner=ep
LINE = bytes.fromhex("010000020a000000000000000000000000000000")


def test_bootc_keeps_newlines(site: Site, tmp_path: Path, device: Device) -> None:
    """In capabilities, other xattrs, and names and targets that a header has no room for."""
    long = b"d/" + b"a\nb" * 40
    entries = [
        Entry(b"d", "dir", mode=0o755, xattrs={b"user.d": b"\n"}),
        Entry(b"d/cap", content=b"cap", xattrs={b"security.capability": LINE}),
        Entry(b"d/plain", content=b"x", xattrs={b"user.x": b"\n\0\n=", b"user.y": b"y"}),
        Entry(long, content=b"long"),
        Entry(long + b"again", content=b"long"),
        Entry(b"d/link", "symlink", mode=0o777, link=long),
    ]
    image = build_oci(tmp_path / "images", "t", [entries])
    repo, base = tmp_path / "repo", f"--base=oci:{site.base.directory}:os"
    imported(repo, "--branch=lines", f"q.io/a/lines:1=oci:{image.directory}:t")
    outcome = image_store(repo, "embed", "lines", base, f"--to=oci:{tmp_path}/out:t")
    said = "lines:1: an xattr has a newline, which bootc cannot read as podman does;"
    assert outcome.stderr.count(said) == 1, outcome.stderr
    assert "do not: /d, /d/cap, /d/plain\n" in outcome.stderr
    assert "lines:1: files have xattrs that bootc's composefs backend does not keep:" in (
        outcome.stderr
    )
    assert "keep: user.d, user.x, user.y\n" in outcome.stderr
    tars = bootc.derived_layers(tmp_path / "out", "t", site.base)
    bootc.import_image(device.repo, "os", tars, tmp_path / "work", "booted")
    booted = checkout(device.repo, "booted", tmp_path / "booted") / STORE
    plain = checkout(repo, "lines", tmp_path / "plain") / STORE
    assert_same(snapshot(booted), snapshot(plain), ("booted", "committed"))


def built(podman: Podman, home: Path, containerfile: str) -> Path:
    """The root file system of what `podman build` makes of a Containerfile."""
    context, layout = home / "context", home / "built"
    context.mkdir()
    (context / "Containerfile").write_text(containerfile)
    (context / "more").write_text("more\n")
    podman.build(context, "localhost/derived")
    podman("push", "--quiet", "localhost/derived", f"oci:{layout}:t")
    return umoci.unpack(layout, "t", home / "root")


def test_podman_builds_upon_it(site: Site, tmp_path: Path, podman: Podman) -> None:
    site.embedded("two")
    text = f"FROM oci:{site.out}:two\nCOPY more /usr/lib/more\n"
    root = snapshot(built(podman, tmp_path, text))
    plain = snapshot(umoci.unpack(site.out, "two", tmp_path / "plain"))
    assert root.pop(b"usr/lib/more").size == 5
    assert_same(root, plain, ("built upon", "embedded"))
    run(["skopeo", "--insecure-policy", "copy", f"oci:{site.out}:two", f"dir:{tmp_path}/dir"])
    manifest = json.loads((tmp_path / "dir/manifest.json").read_bytes())
    assert manifest == bootc.manifest_of(site.out, "two")


def test_a_containerfile_copies_the_store(
    site: Site, tmp_path: Path, podman: Podman, device: Device
) -> None:
    """The line for the labels is a step of the Containerfile, as docs/how-to/bootc.md has it."""
    site.embedded("shared")
    base = build_oci(tmp_path / "base", "os", [busybox_layer(), BASE])
    copied = f"COPY --from=oci:{site.out}:shared /{STORE} /{STORE}\n"
    mounted = f"RUN --mount=type=bind,from=oci:{site.out}:shared,target=/mnt ls /mnt/{STORE} >&2\n"
    line = f"RUN printf '\\n/{STORE} /var/lib/containers/storage\\n' >> /{POLICY}.subs\n"
    text = f"FROM oci:{base.directory}:os\n{mounted}{copied}{line}"
    root = built(podman, tmp_path, text)
    plain = checkout(site.repo, "shared", tmp_path / "plain")
    assert_same(snapshot(root / STORE), snapshot(plain / STORE), ("copied", "committed"))
    tars = bootc.derived_layers(tmp_path / "built", "t", base)
    bootc.import_image(device.repo, "os", tars, tmp_path / "work", "booted")
    booted = checkout(device.repo, "booted", tmp_path / "booted")
    record = booted / STORE / "overlay-images/images.json"
    assert label(record) == "system_u:object_r:store_t:s0"
