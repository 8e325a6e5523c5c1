"""`image-store embed`: the new image's documents and layers, and what is refused."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from layers.entry import Kind
from tests.embed.conftest import BASE, BIG, OPTIONS, POLICY, Site
from tests.tools import umoci
from tests.tools.bootc import derived_layers, manifest_of
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.layout import Layout, digest_of
from tests.tools.ostreerepo import checkout, init, ostree
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.storecommand import image_store
from tests.tools.tarread import read_tar

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def config_of(layout: Path, tag: str) -> dict[str, Any]:
    digest = manifest_of(layout, tag)["config"]["digest"]
    found: dict[str, Any] = json.loads(Layout(layout).blob_path(digest).read_bytes())
    return found


@pytest.mark.root
@pytest.mark.parametrize("branch", ["flat", "shared"])
def test_the_store_is_right_to_the_byte(site: Site, tmp_path: Path, branch: str) -> None:
    site.embedded(branch)
    root = umoci.unpack(site.out, branch, tmp_path / "root")
    store = checkout(site.repo, branch, tmp_path / "store") / STORE
    assert_same(snapshot(root / STORE), snapshot(store), ("embedded", "committed"))
    for added in ("usr/lib/containers", "usr/lib/bootc", "usr/share"):
        shutil.rmtree(root / added)
    ours = snapshot(root)
    plain = snapshot(umoci.unpack(site.base.directory, site.base.tag, tmp_path / "base"))
    changed = f"{POLICY}.subs".encode()
    assert ours.pop(changed).size != plain.pop(changed).size
    assert_same(ours, plain, ("embedded", "base"))


def test_zstd_has_the_same_tars(site: Site, tmp_path: Path) -> None:
    site.embed("two", f"oci:{tmp_path}/out:zstd", "--compression=zstd", *OPTIONS)
    ids = [one["diff_id"] for one in site.embedded("two").layers]
    types = [one["mediaType"] for one in manifest_of(tmp_path / "out", "zstd")["layers"]]
    assert types == [GZIP, *["application/vnd.oci.image.layer.v1.tar+zstd"] * len(ids)]
    tars = derived_layers(tmp_path / "out", "zstd", site.base)
    assert [digest_of(tar) for tar in tars] == ids


def test_base_and_documents(site: Site) -> None:
    document = site.embedded("two").document
    manifest = manifest_of(site.out, "two")
    blobs = manifest["layers"]
    assert [one["digest"] for one in blobs[:1]] == list(site.base.layer_digests)
    assert [one["digest"] for one in blobs[1:]] == [one["digest"] for one in document["layers"]]
    commit = ostree(site.repo, "rev-parse", "two").strip()
    assert manifest["annotations"] == {
        "kept": "yes",
        "org.opencontainers.image.base.digest": site.base.digest,
        "org.opencontainers.image.created": "2024-05-06T07:08:09Z",
        "import-image.commit": commit,
    }
    config = config_of(site.out, "two")
    labels = {"containers.bootc": "2", "a": "b"}
    assert config["config"] == {"Labels": labels, "Cmd": ["/sbin/init"]}
    assert config["rootfs"]["diff_ids"][:1] == list(site.base.diff_ids)
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"])
    assert config["created"] == "2024-05-06T07:08:09Z"
    assert (document["commit"], document["base_layers"]) == (commit, 1)
    # Two layers that both images have, one of each image, and the last one.
    assert [len(one["images"]) for one in document["layers"]] == [2, 2, 1, 1, 0]


def test_what_ostree_stores_once_is_in_a_tar_once(site: Site) -> None:
    site.embedded("two")
    found = [one for tar in derived_layers(site.out, "two", site.base) for one in read_tar(tar)]
    links = {
        entry.path.rpartition(b"/")[2]: entry.link
        for entry, _ in found
        if entry.kind is Kind.HARDLINK
    }
    assert links[b"big"].endswith(b"/data/again")
    assert not links.keys() & {b"other-mode", b"empty"}
    assert sum(len(content) == BIG for _, content in found) == 4


def test_the_same_input_gives_the_same_bytes(site: Site, tmp_path: Path) -> None:
    """From a repo of another mode, too, whose objects come in other pieces."""
    other = Site(tmp_path, site.base, site.images)
    ostree(init(other.repo, "archive"), "pull-local", site.repo, "two")
    made = other.embed("two", f"oci:{tmp_path}/out", "--jobs=1", *OPTIONS)
    assert made["digest"] == site.embedded("two").document["digest"]


def test_a_cut_layer_costs_no_file_twice(site: Site) -> None:
    """Of a single image: its layers are in one tar up to the one that deletes, so the whole takes
    what the flattened image takes."""
    cut, flat = site.embedded("cut").layers, site.embedded("flat").layers
    assert sum(one["size"] for one in cut) < sum(one["size"] for one in flat) * 1.1
    assert [len(one["store_layers"]) for one in cut] == [3, 1, 0]
    # Two layers that both images have, the tree of the one that deletes, and what is on top.
    shared = site.embedded("shared").layers
    assert [len(one["images"]) for one in shared] == [2, 2, 1, 1, 1, 0]


def test_a_shared_base_is_there_once(site: Site, tmp_path: Path) -> None:
    """Each image repeats the directory in which it deletes a file, and no other one. A blocker is
    in the OCI layer of its own layer, since the last one is new every night."""
    base = [
        *(Entry(name, "dir", mode=0o755) for name in (b"a", b"b")),
        *(Entry(name, content=os.urandom(BIG)) for name in (b"a/1", b"b/1", b"b/2", b"b/3")),
        *(Entry(name) for name in (b"a/gone", b"b/gone")),
    ]
    for tag in ("a", "b"):
        build_oci(tmp_path / "images", tag, [base, [whiteout(f"{tag}/gone".encode())]])
    refs = [f"q.io/a/{tag}:1=oci:{tmp_path}/images:{tag}" for tag in ("a", "b")]
    made = Site(tmp_path, site.base, {})
    imported(init(made.repo), "--branch=all", "--whiteouts=none", *refs)
    layers = made.embed("all", f"oci:{tmp_path}/out:t")["layers"]
    # The records, two layers that delete, and their base.
    assert sorted(one["size"] // BIG for one in layers) == [0, 1, 3, 4]
    *_, last = derived_layers(tmp_path / "out", "t", site.base)
    assert not [entry.path for entry, _ in read_tar(last) if b"/diff" in entry.path]


def test_packed_for_size(site: Site, tmp_path: Path) -> None:
    """What the images share is there once, with the tree of the layer that deletes."""
    small = site.embed("shared", f"oci:{tmp_path}/out", "--pack=size")["layers"]
    assert [len(one["store_layers"]) for one in small] == [3, 1, 1, 0]
    large = site.embedded("shared").layers
    assert sum(one["size"] for one in small) + BIG < sum(one["size"] for one in large)


def test_the_next_night_shares_what_did_not_change(site: Site) -> None:
    first, second = site.embedded("two").layers, site.embedded("night").layers
    old = {one["digest"] for one in first}
    new = [one for one in second if one["digest"] not in old]
    assert [one["images"] for one in new] == [["three:1"], []]
    assert len(second) == len(first)


def test_source_date_epoch(site: Site, tmp_path: Path) -> None:
    flags = ("--quiet", f"--base=oci:{site.base.directory}:os", f"--to=oci:{tmp_path}/out:t")
    env = {"SOURCE_DATE_EPOCH": "1000000000"}
    outcome = image_store(site.repo, "embed", "two", *flags, env=env)
    assert outcome.status == 0
    assert outcome.stdout.strip().startswith("sha256:")
    assert config_of(tmp_path / "out", "t")["created"] == "2001-09-09T01:46:40Z"
    assert image_store(site.repo, "embed", "two", *flags, "--unchanged-exit-77").status == 0
    assert image_store(site.repo, "embed", "two", *flags, "--unchanged-exit-77").status == 77
    outcome = image_store(site.repo, "embed", "two", *flags, env={"SOURCE_DATE_EPOCH": "now"})
    assert (outcome.status, "not seconds since 1970" in outcome.stderr) == (1, True)


def test_to_a_registry_and_from_one(site: Site, tmp_path: Path, registry: Registry) -> None:
    base = registry.push(site.base, "embed/os:1")
    there = f"{registry.host}/embed/device:1"
    flags = ("--quiet", "--tls-verify=false", f"--base={base}", f"--to={there}")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert outcome.status == 0, outcome.stderr
    again = image_store(site.repo, "embed", "two", *flags, "--unchanged-exit-77", "--json")
    assert (again.status, again.document["unchanged"]) == (77, True)
    assert again.document["digest"] == outcome.stdout.strip()
    raw = run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{there}"])
    manifest = json.loads(raw)
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == base
    shown = run(["skopeo", "inspect", "--tls-verify=false", f"docker://{there}"])
    assert json.loads(shown)["Digest"] == outcome.stdout.strip()
    docker = build_oci(tmp_path / "docker", "os", [BASE], docker=True)
    base = registry.push(docker, "embed/docker:1")
    flags = ("--quiet", "--tls-verify=false", f"--base={base}", f"--to=oci:{tmp_path}/out:t")
    assert image_store(site.repo, "embed", "two", *flags).status == 0
    types = {one["mediaType"] for one in manifest_of(tmp_path / "out", "t")["layers"]}
    assert types == {GZIP}


def refusal(repo: Path, branch: str, *flags: str) -> str:
    outcome = image_store(repo, "embed", branch, *flags)
    assert outcome.status == 1
    return outcome.stderr


def test_what_is_refused(site: Site, tmp_path: Path) -> None:
    repo, home = tmp_path / "repo", tmp_path / "images"
    gone = build_oci(home, "gone", [[Entry(b"a", content=b"a")], [whiteout(b"a")]])
    imported(repo, "--branch=quoted", f"q.io/a/gone:1=oci:{gone.directory}:gone")
    base, to = f"--base=oci:{site.base.directory}:os", f"--to=oci:{tmp_path}/out:t"
    quoted = refusal(repo, "quoted", base, to)
    assert "has the whiteout .ostree-wh.a" in quoted
    assert "hint: no container image can carry a store's whiteouts" in quoted
    assert not (tmp_path / "out").exists()
    site.embedded("two")
    again = refusal(site.repo, "two", f"--base=oci:{site.out}:two", to)
    assert "the base image has a store at /usr/lib/containers/storage already" in again
    few = refusal(site.repo, "two", base, to, "--max-layers=3")
    assert "more than 3" in few
    odd = build_oci(home, "odd", [[Entry(b"usr", "symlink", link=b"x")]])
    assert "/usr of the base image is not a directory" in refusal(
        site.repo, "two", f"--base=oci:{odd.directory}:odd", to
    )
    assert not (tmp_path / "out/index.json").exists()


def test_layers_go_together_where_there_would_be_too_many(site: Site, tmp_path: Path) -> None:
    document = site.embed("two", f"oci:{tmp_path}/out", "--max-layers=5")
    assert [len(one["store_layers"]) for one in document["layers"]] == [2, 1, 1, 0]


def test_an_image_of_another_architecture_is_told(site: Site, tmp_path: Path) -> None:
    other = build_oci(tmp_path / "base", "os", [BASE], architecture="arm64")
    flags = (f"--base=oci:{other.directory}:os", f"--to=oci:{tmp_path}/out:t")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert "q.io/a/one:1 is for linux/amd64, and the base image for linux/arm64" in outcome.stderr


def test_a_base_of_other_diff_ids_is_refused(site: Site, tmp_path: Path) -> None:
    """Nobody could pull what is made of it."""

    def edit(config: dict[str, Any]) -> None:
        config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64

    base = build_oci(tmp_path / "base", "os", [BASE], edit_config=edit)
    flags = (f"--base=oci:{base.directory}:os", f"--to=oci:{tmp_path}/out:t")
    said = refusal(site.repo, "two", *flags)
    assert f"{base.layer_digests[0]}: the layer unpacks to {site.base.diff_ids[0]}" in said
    assert not (tmp_path / "out/index.json").exists()
