"""Embed in stages: the base image has a store already, which the branch's is merged into, or which
it replaces."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.embed.conftest import BASE, Embedded, Site
from tests.tools import bootc, umoci
from tests.tools.entry import Entry
from tests.tools.expected import STORE, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, init
from tests.tools.podman import new_podman
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.storecommand import image_store
from tests.tools.tarread import read_tar

RECORDS = f"{STORE}/overlay-images/images.json"


@dataclass(frozen=True)
class Stages:
    """Branches embedded upon the image that `site` has of the branch `two`; each made once."""

    site: Site
    out: Path

    def embedded(self, branch: str, *flags: str) -> Embedded:
        to = f"--to=oci:{self.out}:{branch}"
        base = f"--base=oci:{self.site.out}:two"
        outcome = image_store(self.site.repo, "embed", "--json", branch, base, to, *flags)
        assert outcome.status == 0, outcome.stderr
        return Embedded(outcome.document, outcome.stderr)

    def blobs(self, layout: Path, tag: str) -> list[str]:
        return [one["digest"] for one in bootc.manifest_of(layout, tag)["layers"]]


@pytest.fixture(scope="module")
def stages(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    site.embedded("two")
    return Stages(site, tmp_path_factory.mktemp("stages") / "out")


@pytest.fixture(scope="module")
def merged(stages: Stages) -> Embedded:
    """`night` has an image of `two`, and another one upon the same layers."""
    return stages.embedded("night", "--existing-store=merge", "--crio-conf")


def records(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / RECORDS).read_bytes())
    return found


def test_a_merged_store_brings_only_what_the_base_lacks(stages: Stages, merged: Embedded) -> None:
    below = stages.blobs(stages.site.out, "two")
    assert stages.blobs(stages.out, "night")[: len(below)] == below
    assert [one["images"] for one in merged.layers] == [["three:1"], []]
    assert len(merged.document["base_store_layers"]) == 3
    assert "the base image's store stays; it has 3 layers of the branch's 4" in merged.messages
    tars = bootc.derived_layers(stages.out, "night", stages.site.base)
    written = [e.path for tar in tars for e, _ in read_tar(tar) if b"/diff/" in e.path]
    assert len(written) == len({*written})


@pytest.mark.root
def test_podman_runs_the_images_of_both_stages(
    stages: Stages, merged: Embedded, tmp_path: Path
) -> None:
    assert merged.layers
    root = umoci.unpack(stages.out, "night", tmp_path / "root")
    podman = new_podman(tmp_path / "podman", root / STORE)
    names = [f"q.io/a/{tag}:1" for tag in ("one", "three", "two")]
    assert sorted(name for image in podman.images() for name in image["Names"]) == names
    for tag in ("one", "two", "three"):
        assert podman.run(f"q.io/a/{tag}:1") == tag
        theirs = unpacked(stages.site.home / "images", tag, tmp_path / f"umoci-{tag}")
        with podman.mounted(f"q.io/a/{tag}:1") as mounted:
            assert_same(snapshot(mounted), theirs, ("podman", "umoci"))
    conf = (root / "etc/crio/crio.conf.d/50-import-image.conf").read_text()
    assert all(f'"{name}"' in conf for name in names)
    # The same store as an import of all three images makes.
    repo = tmp_path / "repo"
    refs = [
        f"q.io/a/{tag}:1=oci:{stages.site.home}/images:{tag}" for tag in ("one", "three", "two")
    ]
    imported(repo, "--branch=all", *refs)
    plain = checkout(repo, "all", tmp_path / "plain")
    assert records(root) == records(plain)
    ours, theirs = snapshot(root / STORE), snapshot(plain / STORE)
    layers = b"overlay-layers/layers.json"  # in another order
    assert ours.pop(layers).size == theirs.pop(layers).size
    assert_same(ours, theirs, ("merged", "imported"))


def test_a_rehearsed_merge_has_the_layers_of_the_run(stages: Stages, merged: Embedded) -> None:
    flags = ("--existing-store=merge", "--crio-conf", "--dry-run")
    plan = stages.embedded("night", *flags).document
    planned = [one["store_layers"] for one in plan["layers"]]
    assert planned == [one["store_layers"] for one in merged.layers]
    assert plan["unchanged"] is True


@pytest.mark.root
def test_a_replaced_store_is_gone(stages: Stages, tmp_path: Path) -> None:
    """To the byte, as podman and bootc see it; the base's own layers stay in the image."""
    made = stages.embedded("shared", "--existing-store=replace")
    assert made.layers[0]["store_layers"] == []
    root = umoci.unpack(stages.out, "shared", tmp_path / "root")
    plain = checkout(stages.site.repo, "shared", tmp_path / "plain")
    assert_same(snapshot(root / STORE), snapshot(plain / STORE), ("replaced", "committed"))
    device = init(tmp_path / "device", "bare")
    commit_os(device, "os", os_tree(tmp_path / "os"))
    tars = bootc.derived_layers(stages.out, "shared", stages.site.base)
    bootc.import_image(device, "os", tars, tmp_path / "work", "booted")
    booted = checkout(device, "booted", tmp_path / "booted")
    assert_same(snapshot(booted / STORE), snapshot(plain / STORE), ("bootc", "committed"))
    plan = stages.embedded("shared", "--existing-store=replace", "--dry-run").document
    assert (plan["unchanged"], len(plan["layers"])) == (True, len(made.layers) - 1)


def refusal(repo: Path, branch: str, base: str, *flags: str) -> str:
    outcome = image_store(repo, "embed", branch, f"--base={base}", *flags)
    assert outcome.status == 1
    assert "hint: --existing-store=" in outcome.stderr
    return outcome.stderr


def test_stores_that_cannot_be_merged(stages: Stages, tmp_path: Path) -> None:
    """An image of another form; a layer that somebody has changed, or removed in part."""
    site, merge = stages.site, ("--existing-store=merge", f"--to=oci:{tmp_path}/out:t")
    said = refusal(site.repo, "shared", f"oci:{site.out}:two", *merge)
    assert "an image of the base's store has other layers than in the branch" in said
    tars = bootc.derived_layers(site.out, "two", site.base)
    paths = [entry.path for tar in tars for entry, _ in read_tar(tar)]
    link = next(path for path in paths if path.endswith(b"/link") and b"/diff/" not in path)
    whiteout = link.rpartition(b"/")[0] + b"/.wh.diff"
    for number, changed in enumerate((Entry(link, content=b"OTHER"), Entry(whiteout))):
        base = build_oci(tmp_path / str(number), "os", [BASE, *tars, [changed]])
        said = refusal(site.repo, "night", f"oci:{base.directory}:os", *merge)
        assert "the base's store has layer" in said
        assert "in part, or with other links than ours" in said


def test_records_of_the_base_that_cannot_be_read(site: Site, tmp_path: Path) -> None:
    record = Entry(f"{STORE}/overlay-layers/layers.json".encode(), content=b"[{}]")
    base = build_oci(tmp_path / "base", "os", [[*BASE, record]])
    flags = ("--existing-store=merge", f"--to=oci:{tmp_path}/out:t")
    said = refusal(site.repo, "two", f"oci:{base.directory}:os", *flags)
    assert "the base's store: layers.json has a record without an id" in said
