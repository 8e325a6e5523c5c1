"""Layers that end in odd ways, out of our store again: the tree that umoci and podman see, and
the same bytes by skopeo."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.device.test_podman import diff_ids
from tests.tools import umoci
from tests.tools.busybox import busybox_layer
from tests.tools.estargz import TOC, annotation, estargz
from tests.tools.expected import STORE, checked_out_store
from tests.tools.image import LayerSource, build_oci
from tests.tools.importimage import imported, imported_storage, run_storage
from tests.tools.importrelease import released
from tests.tools.lab import shown
from tests.tools.layout import Layout, digest_of
from tests.tools.mediatype import OCI
from tests.tools.overlay import overlay_mount
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.store import store_lowers
from tests.tools.storecommand import answered
from tests.tools.tarbuild import Entry, pax_global, tar_bytes

pytestmark = pytest.mark.root

SMALL = [Entry(b"etc", "dir", mode=0o755), Entry(b"etc/word", content=b"word\n")]
NO_END = tar_bytes(SMALL, trailer=False)
ENDS: dict[str, LayerSource] = {
    "none": NO_END,
    "half": NO_END + bytes(512),
    "zeros": tar_bytes(SMALL) + bytes(8192),
    "junk": tar_bytes(SMALL) + b"junk" * 1000,
    "second-tar": tar_bytes(SMALL) + tar_bytes([Entry(b"more")]),
    "nothing": b"",
    "estargz-of-buildkit": estargz(SMALL, lossless=True),
    "estargz-of-ctr-remote": estargz(SMALL, lossless=False),
}


@dataclass(frozen=True)
class Out:
    """An image out of our store: its layers' diffIDs by skopeo, and what its root shows."""

    diff_ids: tuple[str, ...]
    tree: dict[bytes, Any]


def out_of_store(repo: Path, branch: str, image_id: str, space: Path) -> Out:
    """Checks the branch out, exports the image, and mounts it."""
    space.mkdir()
    store = checked_out_store(repo, branch, space / "tree")
    podman = new_podman(space / "podman", store)
    target = space / "dir"
    source = f"containers-storage:{podman.inspect(image_id)['RepoTags'][0]}"
    run(["skopeo", "copy", "--quiet", source, f"dir:{target}"], env=podman.environment)
    podman("system", "check")
    with overlay_mount(store_lowers(store, image_id), space / "mnt") as mounted:
        return Out(diff_ids(target), shown(mounted))


@pytest.mark.parametrize("name", ENDS)
def test_the_layer_comes_out_as_it_went_in(tmp_path: Path, name: str) -> None:
    """By way of import-image, and by way of podman's store and import-storage."""
    layers = [SMALL, ENDS[name]]
    built = build_oci(tmp_path / "oci", "t", layers, edit_manifest=annotated)
    reference = f"oci:{tmp_path}/oci:t"
    imported(tmp_path / "repo", "--branch=image", f"example.org/odd:1={reference}")
    out = out_of_store(tmp_path / "repo", "image", built.image_id, tmp_path / "image")
    assert out.diff_ids == built.diff_ids
    assert out.tree == shown(umoci.unpack(tmp_path / "oci", "t", tmp_path / "root"))
    assert (TOC in out.tree) == (name == "estargz-of-ctr-remote")
    kept = tmp_path / "image/tree" / STORE / "overlay-images" / built.image_id / "manifest"
    assert json.loads(kept.read_bytes())["layers"][1]["annotations"] == annotation(SMALL)

    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", reference)
    podman("tag", built.image_id, "example.org/pulled:1")
    imported_storage(tmp_path / "second", "--branch=storage", tmp_path / "podman/root")
    again = out_of_store(tmp_path / "second", "storage", built.image_id, tmp_path / "storage")
    assert again == out


@pytest.mark.parametrize(
    ("tar", "error", "hint"),
    [
        # podman takes it, but adds the padding to what it records.
        (NO_END[:-1], "the config's diff_ids say", "import the image from its registry"),
        (
            tar_bytes([pax_global([(b"path", b"x")]), *SMALL]),
            "global PAX header sets path",
            "the image itself is at fault",
        ),
    ],
    ids=["not-recorded", "refused"],
)
def test_no_pull_mends_a_layer_that_podman_has_as_it_is(
    tmp_path: Path, tar: bytes, error: str, hint: str
) -> None:
    build_oci(tmp_path / "oci", "t", [tar])
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", f"oci:{tmp_path}/oci:t")
    outcome = run_storage(tmp_path / "repo", "--branch=storage", tmp_path / "podman/root")
    assert outcome.status == 1
    assert error in outcome.said("error")[0]
    assert hint in outcome.said("hint")[0]
    assert "a new pull" not in outcome.stderr


def annotated(manifest: dict[str, Any]) -> None:
    """As BuildKit does."""
    manifest["layers"][1]["annotations"] = annotation(SMALL)


def test_every_end_is_exported(tmp_path: Path) -> None:
    """By way of import-release, whose commits have the same layers as import-image's."""
    listed, repo = tmp_path / "list", tmp_path / "repo"
    built = {name: build_oci(tmp_path / "oci", name, [SMALL, end]) for name, end in ENDS.items()}
    listed.write_text("".join(f"{name} oci:{tmp_path}/oci:{name}\n" for name in ENDS))
    released(repo, "--insecure-policy", "--allow-transports=oci", "--branch=all", listed)
    for name, image in built.items():
        answered(repo, "export", "--quiet", image.image_id, f"dir:{tmp_path}/{name}")
        for diff_id in image.diff_ids:
            blob = tmp_path / name / diff_id.partition(":")[2]
            assert digest_of(blob.read_bytes()) == diff_id


def test_zstd_chunked_as_skopeo_makes_it(tmp_path: Path) -> None:
    """The table and the footer are frames to be skipped; the tree and the diffIDs are those of
    the image that it was made of. umoci 0.4 reads no zstd."""
    plain = build_oci(tmp_path / "oci", "t", [busybox_layer(), SMALL])
    zstd = ["--dest-compress-format=zstd:chunked", "--dest-compress-level=3"]
    source, target = f"oci:{tmp_path}/oci:t", f"oci:{tmp_path}/chunked:t"
    run(["skopeo", "copy", "--quiet", *zstd, source, target])
    digest = Layout(tmp_path / "chunked").blob_path(
        json.loads((tmp_path / "chunked/index.json").read_bytes())["manifests"][0]["digest"]
    )
    layers = json.loads(digest.read_bytes())["layers"]
    assert {one["mediaType"] for one in layers} == {OCI.of_layer("zstd")}
    assert all("manifest-checksum" in str(one["annotations"]) for one in layers)
    document = imported(tmp_path / "repo", "--branch=chunked", f"example.org/z:1={target}")
    (image,) = document["images"]
    out = out_of_store(tmp_path / "repo", "chunked", image["image_id"], tmp_path / "image")
    assert out.diff_ids == plain.diff_ids
    assert out.tree == shown(umoci.unpack(tmp_path / "oci", "t", tmp_path / "root"))
    kept = tmp_path / "image/tree" / STORE / "overlay-images" / image["image_id"] / "manifest"
    assert kept.read_bytes() == digest.read_bytes()
