"""The store where it is used: deployed by `ostree admin`, upgraded, and podman upon it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.device import Device, new_device
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE, merged, unpacked
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.meter import Meter, metered_server
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, init, ostree, rev_parse
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, assert_same, snapshot

pytestmark = pytest.mark.root

BRANCH = "device/apps"
#: Incompressible, so that fetching it shows.
BIG = 300_000
MIDDLE = [
    Entry(b"data", "dir", mode=0o755),
    Entry(b"data/big", content=os.urandom(BIG)),
    Entry(b"data/old", content=b"old\n"),
]


@dataclass
class Site:
    """Where releases are made: a repo that is served, and what the images have to look like."""

    repo: Path
    home: Path
    registry: Registry
    meter: Meter

    def image(self, name: str, *layers: list[Entry]) -> tuple[str, BuiltImage]:
        """Builds it and pushes it as NAME:TAG, where it may have been something else before."""
        tag = name.replace(":", "-")
        config = {"Cmd": ["sh", "-c", "cat /version; ls /data"]}
        built = build_oci(self.home / "layout", tag, [busybox_layer(), *layers], config=config)
        return self.registry.push(built, f"deployed/{name}"), built

    def release(self, version: str, *references: str) -> str:
        """Commits an OS of this version with these images onto it."""
        root = os_tree(self.home / f"root-{version}", {"usr/lib/tool": version}, version)
        stamp = f"--timestamp=2025-01-0{version}T00:00:00Z"
        commit_os(self.repo, "os", root, version=version, stamp=stamp)
        flags = ("--onto=os", f"--branch={BRANCH}", "--storage-conf")
        return str(imported(self.repo, *flags, *references)["commit"])

    def expected(self, built: BuiltImage) -> Snapshot:
        """The image's tree."""
        return unpacked(self.home / "layout", built.tag, self.home / f"umoci-{built.tag}")


@pytest.fixture
def site(tmp_path: Path, registry: Registry) -> Iterator[Site]:
    """An archive repo, served."""
    repo = init(tmp_path / "site/repo", "archive")
    with metered_server(repo) as meter:
        yield Site(repo, tmp_path / "site", registry, meter)


def version(text: str) -> list[Entry]:
    """A small top layer, which deletes a file of the layer below."""
    return [Entry(b"version", content=f"{text}\n".encode()), whiteout(b"data/old")]


def check_images(device: Device, site: Site, *images: BuiltImage) -> None:
    """The deployment's store holds exactly these trees."""
    for built in images:
        where = device.home / f"merged-{built.tag}"
        store = device.current / STORE
        assert_same(merged(store, built.image_id, where), site.expected(built), ("device", "umoci"))


def test_a_deployment_and_its_upgrade(site: Site, tmp_path: Path) -> None:
    kept, built_kept = site.image("kept", MIDDLE, version("kept"))
    moved, built_1 = site.image("moved:1", MIDDLE, version("one"))
    site.release("1", kept, moved)
    device = new_device(tmp_path / "device", site.meter.url)
    device.pull(BRANCH)
    device.deploy(BRANCH)
    check_images(device, site, built_kept, built_1)
    assert (device.current / "etc/hosts").exists()
    first_bytes = site.meter.bytes

    podman = device.podman(tmp_path / "var")
    assert podman.run(kept) == "kept\nbig\n"
    assert podman.run(moved) == "one\nbig\n"
    assert {image["ReadOnly"] for image in podman.images()} == {True}
    podman.create("c", kept, "cat", "/version", "/mine")
    (tmp_path / "mine").write_text("mine\n")
    podman("cp", tmp_path / "mine", "c:/mine")

    # The second release: another top layer for one image, the rest as it was.
    moved, built_2 = site.image("moved:1", MIDDLE, version("two"))
    site.release("2", kept, moved)
    site.meter.reset()
    device.upgrade()
    assert site.meter.bytes < first_bytes / 10
    assert site.meter.bytes < BIG
    check_images(device, site, built_kept, built_2)
    podman = device.podman(tmp_path / "var")
    assert podman.run(kept) == "kept\nbig\n"
    assert podman.run(moved) == "two\nbig\n"
    # What was made of an image that is still there goes on working, its own files included.
    assert podman.start("c") == "kept\nmine\n"

    device.boot(1)
    podman = device.podman(tmp_path / "var")
    assert podman.run(moved) == "one\nbig\n"


def test_prune_keeps_what_the_deployments_need(site: Site, tmp_path: Path) -> None:
    device = new_device(tmp_path / "device", site.meter.url)
    commits = []
    for number, text in enumerate(("one", "two", "three"), 1):
        reference, built = site.image("pruned:1", MIDDLE, version(text))
        commits.append(site.release(str(number), reference))
        device.pull(BRANCH)
        device.deploy(BRANCH)
        check_images(device, site, built)
    device.admin("cleanup")
    ostree(device.repo, "prune", "--refs-only")
    # Two deployments are kept, so the first release is gone and the others are whole.
    stored = {path.name for path in device.repo.glob("objects/*/*.commit")}
    assert [f"{commit[2:]}.commit" in stored for commit in commits] == [False, True, True]
    fsck(device.repo)
    check_images(device, site, built)
    device.boot(1)
    assert device.podman(tmp_path / "var").run(reference) == "two\nbig\n"
    # The site's repo, once the layers' branches and the old commits are gone.
    for name in ostree(site.repo, "refs").split():
        if name.startswith("oci/"):
            ostree(site.repo, "refs", "--delete", name)
    ostree(site.repo, "prune", "--refs-only")
    fsck(site.repo)
    other = new_device(tmp_path / "other", site.meter.url)
    other.pull(BRANCH)
    other.deploy(BRANCH)
    check_images(other, site, built)


@pytest.mark.parametrize("offline", [False, True])
def test_a_static_delta_brings_the_second_release(
    site: Site, tmp_path: Path, offline: bool
) -> None:
    first = site.release("1", site.image("delta:1", MIDDLE, version("one"))[0])
    device = new_device(tmp_path / "device", site.meter.url)
    device.pull(BRANCH)
    device.deploy(BRANCH)
    reference, built = site.image("delta:1", MIDDLE, version("two"))
    second = site.release("2", reference)
    ends = (f"--from={first}", f"--to={second}")
    site.meter.reset()
    if offline:
        bundle = tmp_path / "bundle"
        ostree(site.repo, "static-delta", "generate", "--inline", f"--filename={bundle}", *ends)
        ostree(device.repo, "static-delta", "apply-offline", bundle)
        ostree(device.repo, "refs", "--delete", f"builds:{BRANCH}")
        ostree(device.repo, "refs", f"--create=builds:{BRANCH}", second)
        assert bundle.stat().st_size < BIG
    else:
        ostree(site.repo, "static-delta", "generate", *ends)
        ostree(site.repo, "summary", "--update")
        device.pull(BRANCH, "--require-static-deltas")
        assert site.meter.bytes < BIG
        assert site.meter.fetched["filez"] == 0
    assert rev_parse(device.repo, f"builds:{BRANCH}") == second
    device.deploy(BRANCH)
    fsck(device.repo)
    check_images(device, site, built)
    assert device.podman(tmp_path / "var").run(reference) == "two\nbig\n"


def test_layers_and_links_keep_their_names(site: Site, tmp_path: Path) -> None:
    """So a delta is small, and a container finds the layers below it after an upgrade."""
    kept, _ = site.image("names", MIDDLE, version("kept"))
    more, _ = site.image("more", version("more"))
    stores = []
    for number, references in (("1", [kept]), ("2", [kept, more])):
        site.release(number, *references)
        out = checkout(site.repo, BRANCH, tmp_path / f"out{number}")
        stores.append(snapshot(out / STORE / "overlay"))
    first, second = stores
    assert_same({path: second[path] for path in first}, first, ("second", "first"))


def test_an_image_that_a_release_leaves_out_is_gone_from_podman(site: Site, tmp_path: Path) -> None:
    kept, _ = site.image("stays", version("stays"))
    gone, _ = site.image("leaves", MIDDLE, version("leaves"))
    site.release("1", kept, gone)
    device = new_device(tmp_path / "device", site.meter.url)
    device.pull(BRANCH)
    device.deploy(BRANCH)
    podman = device.podman(tmp_path / "var")
    podman.create("c", gone)
    site.release("2", kept)
    device.upgrade()
    podman = device.podman(tmp_path / "var")
    assert [image["Names"] for image in podman.images()] == [[kept]]
    with pytest.raises(CommandError, match="no such file or directory"):
        podman.start("c")
    podman("rm", "--force", "c")
    assert run(["findmnt", "-rno", "TARGET"]).count(str(tmp_path)) == 0
