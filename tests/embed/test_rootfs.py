"""`image-store embed --rootfs`: a directory's files in place of a base image."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from layers.entry import Kind
from tests.embed.conftest import CAPABILITY, OPTIONS, Site
from tests.embed.test_embed import config_of
from tests.tools import umoci
from tests.tools.bootc import derived_layers, manifest_of
from tests.tools.expected import STORE
from tests.tools.process import run
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.storecommand import answered, image_store
from tests.tools.tarread import read_tar, unpacked_blob

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def rootfs(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's files, and others of each kind that a system has; some are links to objects of
    ostree, as in a mounted base image of bootc."""
    root = umoci.unpack(site.base.directory, site.base.tag, tmp_path_factory.mktemp("os") / "root")
    objects = root / "sysroot/ostree/repo/objects/00"
    objects.mkdir(parents=True)
    for name in ("bin", "var", "dev"):
        (root / name).mkdir()
    (objects / "a.file").write_bytes(b"content" * 1000)
    for name in ("usr/one", "usr/two", "etc/one"):
        (root / name).hardlink_to(objects / "a.file")
    program = root / "bin" / ("p" * 120)
    program.write_bytes(b"program")
    os.setxattr(program, "security.capability", CAPABILITY)
    os.setxattr(program, "user.component", b"programs")
    os.setxattr(program, "trusted.mark", b"1")
    os.chown(program, 7, 2_000_000_000)
    program.chmod(0o4755)
    (root / "bin/sh").symlink_to("p" * 120)
    (root / "var/two\nlines").write_bytes(b"")
    os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    root.chmod(0o755)
    return root


def embedded(site: Site, rootfs: Path, to: Path, *flags: str) -> dict[str, Any]:
    """What the command prints, for the branch `two`."""
    return answered(site.repo, "embed", "two", f"--rootfs={rootfs}", f"--to=oci:{to}:t", *flags)


def base_of(site: Site) -> str:
    """The base image, for its config."""
    return f"--base=oci:{site.base.directory}:{site.base.tag}"


def test_the_directory_is_one_layer_below_the_store(
    site: Site, rootfs: Path, tmp_path: Path
) -> None:
    """The store's layers are those of an embedding into an image, and the directory's files have
    all that a layer can hold of them."""
    made = embedded(site, rootfs, tmp_path / "out", base_of(site), *OPTIONS)
    plain = site.embedded("two").document
    assert [one["digest"] for one in made["layers"]] == [one["digest"] for one in plain["layers"]]
    assert (made["base_layers"], made["base_digest"]) == (1, None)
    assert (made["base"], made["rootfs"]) == (base_of(site)[7:], str(rootfs))
    root = umoci.unpack(tmp_path / "out", "t", tmp_path / "root")
    assert (root / STORE / "overlay-images/images.json").exists()
    for added in ("containers", "bootc"):
        shutil.rmtree(root / "usr/lib" / added)
    shutil.rmtree(root / "usr/share")
    ours, theirs = snapshot(root), snapshot(rootfs, (b"trusted.*", b"security.selinux"))
    for name in [one for one in theirs if one.startswith((b"dev/", b"sysroot/"))]:
        del theirs[name]
    changed = b"etc/selinux/small/contexts/files/file_contexts.subs"
    assert ours.pop(changed).sha256 != theirs.pop(changed).sha256
    assert_same(ours, theirs, ("embedded", "directory"))


def test_hard_links_stay_in_a_top_directory(site: Site, rootfs: Path, tmp_path: Path) -> None:
    """bootc leaves out others than /usr, /etc and /var, to which a link would then lead."""
    embedded(site, rootfs, tmp_path / "out")
    (layer, *_) = manifest_of(tmp_path / "out", "t")["layers"]
    blob = tmp_path / "out/blobs/sha256" / layer["digest"].removeprefix("sha256:")
    found = {
        entry.path: entry.link
        for entry, _ in read_tar(unpacked_blob(blob.read_bytes(), layer["mediaType"]))
        if entry.kind is Kind.HARDLINK
    }
    assert found == {b"usr/two": b"usr/one"}


def test_the_config_is_the_given_image_s(site: Site, rootfs: Path, tmp_path: Path) -> None:
    """But for what names layers that the image has no more; without an image, there is hardly
    any."""
    labelled = tmp_path / "labelled"
    labels = ("--label=ostree.commit=c", "--label=ostree.final-diffid=d", "--label=version=3")
    site.embed("two", f"oci:{labelled}:t", *labels)
    embedded(site, rootfs, tmp_path / "out", f"--base=oci:{labelled}:t", "--label=a=b")
    config, annotations = config_of(tmp_path / "out", "t"), manifest_of(tmp_path / "out", "t")
    assert config["config"] == {
        "Labels": {"containers.bootc": "1", "version": "3", "a": "b"},
        "Cmd": ["/sbin/init"],
    }
    assert config["history"][0] == {"created_by": "image-store embed: a root file system"}
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 6
    assert annotations["annotations"].keys() == {
        "kept", "org.opencontainers.image.created", "import-image.commit",
    }  # fmt: skip
    embedded(site, rootfs, tmp_path / "bare", "--label=containers.bootc=1")
    bare = config_of(tmp_path / "bare", "t")
    assert bare["config"] == {"Labels": {"containers.bootc": "1"}}
    assert (bare["architecture"], bare["os"]) == ("amd64", "linux")


def test_equal_directories_give_equal_images(site: Site, rootfs: Path, tmp_path: Path) -> None:
    """Whatever the times of their files; a dry run tells it."""
    run(["cp", "-a", rootfs, tmp_path / "copy"])
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    embedded(site, rootfs, tmp_path / "out")
    flags = (f"--rootfs={tmp_path}/copy", f"--to=oci:{tmp_path}/out:t", "--unchanged-exit-77")
    for more in ((), ("--dry-run",)):
        outcome = image_store(site.repo, "embed", "two", *flags, *more)
        assert outcome.status == 77, outcome.stderr
    (tmp_path / "copy/bin/sh").unlink()
    rehearsed = image_store(site.repo, "embed", "two", *flags, "--dry-run")
    assert (rehearsed.status, "new: 1 of 5 layers" in rehearsed.stdout) == (0, True)


def test_a_store_in_the_directory_is_added_to(site: Site, rootfs: Path, tmp_path: Path) -> None:
    """As one in a base image is: a layer that both have is not written again."""
    flags = (base_of(site), "--storage-conf")
    embedded(site, rootfs, tmp_path / "first", *flags)
    root = umoci.unpack(tmp_path / "first", "t", tmp_path / "root")
    how = (f"--rootfs={root}", *flags)
    refused = image_store(site.repo, "embed", "night", *how, f"--to=oci:{tmp_path}/out:t")
    assert "--existing-store=merge" in refused.stderr
    merged = answered(
        site.repo, "embed", "night", *how, f"--to=oci:{tmp_path}/out:t", "--existing-store=merge"
    )
    assert len(merged["base_store_layers"]) == 3
    assert len(merged["layers"]) == 2
    assert derived_layers(tmp_path / "out", "t", site.base)


def test_what_no_layer_can_hold_is_refused(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    (root / "usr/.wh.gone").touch()

    def check_error(text: str, rootfs: Path = root, to: Path = tmp_path) -> None:
        flags = (f"--rootfs={rootfs}", f"--to=oci:{to}/out:t")
        outcome = image_store(site.repo, "embed", "two", *flags)
        assert (outcome.status, text in outcome.stderr) == (1, True), outcome.stderr

    check_error(f"{root}/usr/.wh.gone: a layer cannot hold this name")
    (root / "usr/.wh.gone").unlink()
    for name in ("fifo", "socket", "whiteout"):
        if name == "fifo":
            os.mkfifo(root / "usr/fifo")
        elif name == "socket":
            socket.socket(socket.AF_UNIX).bind(str(root / "usr/socket"))
        else:
            os.mknod(root / "usr/whiteout", 0o20000, 0)
        check_error(f"{root}/usr/{name}: a device, fifo or socket")
        (root / "usr" / name).unlink()
    (root / "proc").mkdir()
    run(["mount", "-t", "tmpfs", "none", root / "proc"])
    try:
        check_error(f"{root}/proc: another file system is mounted there")
    finally:
        run(["umount", root / "proc"])
    check_error(f"the destination is in {root}", to=root)
    (root / "usr/file").touch()
    check_error(f"{root}/none: No such file or directory", root / "none")
    check_error(f"{root}/usr/file: Not a directory", root / "usr/file")
    assert image_store(site.repo, "embed", "two", f"--to=oci:{tmp_path}/out").status == 2
