"""podman starts containers from the checked-out store, which it cannot write to."""

import json
from pathlib import Path

import pytest

from fixtures.images import definition, real_image
from tests.device.words import LATER, WORDS
from tests.tools.busybox import busybox_layer
from tests.tools.cgroup2 import with_cgroup2
from tests.tools.expected import checked_out_store, merged, unpacked
from tests.tools.image import BuiltImage, build_index, build_oci
from tests.tools.importimage import imported
from tests.tools.layout import digest_of
from tests.tools.overlay import read_only
from tests.tools.podman import Podman, new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot

pytestmark = pytest.mark.root


@pytest.fixture
def runnable(layout: Path) -> BuiltImage:
    """An image of three layers, with whiteouts, that can run."""
    return build_oci(
        layout, "t", [busybox_layer(), WORDS, LATER], config={"Cmd": ["cat", "/etc/word"]}
    )


def diff_ids(directory: Path) -> tuple[str, ...]:
    """The diffIDs of the blobs in a dir: transport's directory, in the manifest's order."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    digests = [layer["digest"].partition(":")[2] for layer in manifest["layers"]]
    return tuple(digest_of((directory / digest).read_bytes()) for digest in digests)


def test_names_digests_run_and_mount(
    registry: Registry, tmp_path: Path, layout: Path, runnable: BuiltImage
) -> None:
    index = build_index(layout, "ix", [runnable])
    by_tag = registry.push(runnable, "run:t")
    by_digest = registry.by_digest(runnable, "run")
    by_index = registry.push(index, "run-index")
    document = imported(tmp_path / "repo", "--branch=os/b", by_tag, by_digest, by_index)
    tree = checked_out_store(tmp_path / "repo", "os/b", tmp_path / "out")
    with read_only(tree, tmp_path / "store") as store:
        with pytest.raises(OSError, match="Read-only"):
            (store / "overlay-layers/layers.lock").open("wb")
        podman = new_podman(tmp_path / "podman", store)
        check_listing(podman, document["images"], runnable)
        for name in (by_tag, by_digest, by_index, runnable.image_id):
            assert podman.run(name) == "word\n"
        command = "ls /srv; stat -c %a:%u:%g /srv; cat /etc/gone || cat /srv/old || cat /srv/new"
        assert podman.run(by_digest, "sh", "-c", command) == "new\n750:33:33\nnew\n"
        with podman.mounted(by_digest) as mounted:
            theirs = unpacked(layout, "t", tmp_path / "umoci")
            assert_same(snapshot(mounted), theirs, ("podman", "umoci"))
        podman("system", "check")


def check_listing(podman: Podman, images: list[dict[str, object]], built: BuiltImage) -> None:
    """`podman images --digests` and `inspect` say what the document says."""
    listed = podman("images", "--digests", "--no-trunc", "--format={{.ID}} {{.Digest}}")
    digests = {str(image["digest"]) for image in images}
    for line in listed.splitlines():
        image_id, digest = line.split()
        assert image_id == f"sha256:{built.image_id}"
        assert digest in digests
    for image in images:
        names = image["names"]
        assert isinstance(names, list)
        for name in names:
            found = podman.inspect(str(name))
            assert (found["Id"], found["Digest"]) == (built.image_id, image["digest"])
            assert found["RootFS"]["Layers"] == list(built.diff_ids)
            assert set(names) <= {*found["RepoTags"], *found["RepoDigests"]}


def test_skopeo_exports_the_same_layers_and_config(
    registry: Registry, tmp_path: Path, layout: Path, fixtures: Path
) -> None:
    for path in sorted(fixtures.glob("*.layers")):
        built = build_oci(layout, path.stem, definition.load(path))
        imported(
            tmp_path / "repo", f"--branch=os/{path.stem}", registry.push(built, f"{path.stem}:x")
        )
        store = checked_out_store(tmp_path / "repo", f"os/{path.stem}", tmp_path / path.stem)
        podman = new_podman(tmp_path / f"podman-{path.stem}", store)
        target = tmp_path / f"dir-{path.stem}"
        source = f"containers-storage:{registry.host}/{path.stem}:x"
        run(["skopeo", "copy", "--quiet", source, f"dir:{target}"], env=podman.environment)
        assert diff_ids(target) == built.diff_ids, path.stem
        assert (target / built.image_id).read_bytes() == built.read(built.config)
        podman("system", "check")


def test_a_container_writes_above_the_store_and_commits(
    registry: Registry, tmp_path: Path, runnable: BuiltImage
) -> None:
    reference = registry.push(runnable, "commit:t")
    imported(tmp_path / "repo", "--branch=os/b", reference)
    tree = checked_out_store(tmp_path / "repo", "os/b", tmp_path / "out")
    with read_only(tree, tmp_path / "store") as store:
        podman = new_podman(tmp_path / "podman", store)
        touch = ["sh", "-c", "echo more >> /etc/word; rm -r /srv"]
        argv = ["--cgroups=disabled", "--pull=never", "--network=none"]
        run(
            with_cgroup2(["podman", "run", "--name=c", *argv, reference, *touch]),
            env=podman.environment,
        )
        podman("commit", "--quiet", "c", "example.org/changed:t")
        assert podman.run("example.org/changed:t", "cat", "/etc/word") == "word\nmore\n"
        podman("rm", "c")
        podman("rmi", "example.org/changed:t")
        assert [image["ReadOnly"] for image in podman.images()] == [True]


def test_an_image_of_real_packages(registry: Registry, tmp_path: Path) -> None:
    """Four layers of Debian's packages, with deletions, an opaque directory, capabilities."""
    built = real_image.build(tmp_path / "layout", "real")
    document = imported(tmp_path / "repo", f"example.org/real:1={built.reference}")
    (image,) = document["images"]
    assert [layer["diff_id"] for layer in image["layers"]] == [one.diff_id for one in built.layers]
    assert sum(layer["whiteouts"] for layer in image["layers"]) > 10
    tree = checked_out_store(tmp_path / "repo", document["branch"], tmp_path / "out")
    theirs = unpacked(tmp_path / "layout", "real", tmp_path / "umoci")
    ours = merged(tree, image["image_id"], tmp_path / "merged")
    assert_same(ours, theirs, ("ours", "umoci"))
    with read_only(tree, tmp_path / "store") as store:
        podman = new_podman(tmp_path / "podman", store)
        with podman.mounted("example.org/real:1") as mounted:
            assert_same(snapshot(mounted), theirs, ("podman", "umoci"))
        assert "nginx" in podman.run("example.org/real:1", "sh", "-c", "nginx -v 2>&1")
        podman("system", "check")
        target = tmp_path / "dir"
        run(
            ["skopeo", "copy", "--quiet", "containers-storage:example.org/real:1", f"dir:{target}"],
            env=podman.environment,
        )
        assert diff_ids(target) == tuple(one.diff_id for one in built.layers)
