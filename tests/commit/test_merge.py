"""`--existing-store=merge` where the two stores have the same image, in other layers.

`image-store verify`, podman and umoci are the judges of what comes out.
"""

from pathlib import Path

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE, checked_out_store, layer_ids, merged, private_ids, unpacked
from tests.tools.image import ImagePair, build_oci
from tests.tools.importimage import imported
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import fsck
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.store import store_images, store_layers
from tests.tools.storecommand import image_store

BASE = [Entry(b"a", content=b"a\n"), Entry(b"b", content=b"b\n")]
TOP = [whiteout(b"a"), Entry(b"c", content=b"c\n")]
OTHER = [Entry(b"o", content=b"other\n")]
MERGE = ("--onto=os", "--branch=apps", "--existing-store=merge")


@pytest.fixture
def pair(registry: Registry, layout: Path) -> ImagePair:
    shared = [busybox_layer(), BASE]
    one = build_oci(layout, "one", [*shared, TOP], config={"Cmd": ["cat", "/c"]})
    two = build_oci(layout, "two", [*shared, OTHER], config={"Cmd": ["cat", "/o"]})
    names = (registry.push(one, "merge/one:1"), registry.push(two, "merge/two:1"))
    return ImagePair(one, two, names)


def with_store(repo: Path, tmp_path: Path, *arguments: str) -> None:
    """`os` becomes an OS that has these images in its store already."""
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    imported(repo, "--onto=plain", "--branch=os", *arguments)


def with_podmans_store(repo: Path, tmp_path: Path, name: str) -> None:
    """`os` becomes an OS with the store that podman pulled this image to, where links have random
    names. It may have no whiteout: ostree does not commit a device."""
    owner = new_podman(tmp_path / "owner")
    owner("pull", "--quiet", "--tls-verify=false", name)
    root = os_tree(tmp_path / "root")
    (root / STORE).mkdir(parents=True)
    for part in ("overlay", "overlay-layers", "overlay-images"):
        (owner.home / "root" / part).rename(root / STORE / part)
    commit_os(repo, "os", root)


def assert_sound(repo: Path, branch: str = "apps") -> None:
    """By `image-store verify` and `ostree fsck`."""
    outcome = image_store(repo, "verify", "--quiet", branch)
    assert (outcome.status, outcome.stdout.count("\n")) == (0, 1), outcome.stdout
    fsck(repo)


@pytest.mark.root
@pytest.mark.parametrize(("before", "now"), [((), ("--flatten",)), (("--flatten",), ())])
def test_an_image_gets_the_layers_that_it_is_imported_with_and_loses_the_others(
    repo: Path,
    tmp_path: Path,
    layout: Path,
    pair: ImagePair,
    before: tuple[str, ...],
    now: tuple[str, ...],
) -> None:
    with_store(repo, tmp_path, *before, pair.names[0])
    imported(repo, *MERGE, *now, pair.names[0])
    assert_sound(repo)
    store = checked_out_store(repo, "apps", tmp_path / "apps")
    imported(repo, "--branch=alone", *now, pair.names[0])
    alone = checked_out_store(repo, "alone", tmp_path / "alone")
    assert_same(snapshot(store), snapshot(alone), ("merged", "alone"))
    podman = new_podman(tmp_path / "podman", store)
    assert podman.run(pair.names[0]) == "c\n"
    podman("system", "check")
    assert_same(
        merged(store, pair.one.image_id, tmp_path / "merged"),
        unpacked(layout, "one", tmp_path / "umoci"),
        ("merged store", "umoci"),
    )


@pytest.mark.root
def test_what_another_image_needs_of_the_layers_stays(
    repo: Path, tmp_path: Path, layout: Path, pair: ImagePair
) -> None:
    with_store(repo, tmp_path, *pair.names)
    imported(repo, *MERGE, "--flatten", pair.names[0])
    assert_sound(repo)
    store = checked_out_store(repo, "apps", tmp_path / "apps")
    layers = {layer["id"] for layer in store_layers(store)}
    assert set(private_ids(pair.two.diff_ids)) < layers
    assert private_ids(pair.one.diff_ids)[2] not in layers
    assert len(layers) == 6
    podman = new_podman(tmp_path / "podman", store)
    assert [podman.run(name) for name in pair.names] == ["c\n", "other\n"]
    podman("system", "check")
    for built in (pair.one, pair.two):
        assert_same(
            merged(store, built.image_id, tmp_path / f"m-{built.tag}"),
            unpacked(layout, built.tag, tmp_path / f"u-{built.tag}"),
            ("merged store", "umoci"),
        )


@pytest.mark.root
def test_nothing_is_left_of_a_layer_that_podman_wrote(
    repo: Path, tmp_path: Path, pair: ImagePair
) -> None:
    with_podmans_store(repo, tmp_path, pair.names[1])
    imported(repo, *MERGE, "--flatten", pair.names[1])
    store = checked_out_store(repo, "apps", tmp_path / "apps")
    for layer_id in layer_ids(pair.two.diff_ids):
        assert not list(store.glob(f"overlay*/{layer_id}*"))
    links = list((store / "overlay/l").iterdir())
    assert len(links) == 3
    assert all(link.exists() for link in links)
    (image,) = store_images(store)
    assert image["names"] == [pair.names[1]]
    assert new_podman(tmp_path / "podman", store).run(pair.names[1]) == "other\n"


@pytest.mark.root
def test_what_is_removed_of_a_merged_store_leaves_no_link(
    repo: Path, tmp_path: Path, pair: ImagePair
) -> None:
    with_podmans_store(repo, tmp_path, pair.names[1])
    imported(repo, *MERGE, pair.names[0])
    assert image_store(repo, "remove", "--branch=apps", pair.names[1]).status == 0
    store = checked_out_store(repo, "apps", tmp_path / "apps")
    top = layer_ids(pair.two.diff_ids)[2]
    assert not list(store.glob(f"overlay*/{top}*"))
    assert all(link.exists() for link in (store / "overlay/l").iterdir())
    assert new_podman(tmp_path / "podman", store).run(pair.names[0]) == "c\n"


@pytest.mark.root
def test_a_second_merge_changes_nothing(repo: Path, tmp_path: Path, pair: ImagePair) -> None:
    with_store(repo, tmp_path, pair.names[0])
    once = imported(repo, *MERGE, "--flatten", *pair.names)
    again = imported(repo, *MERGE, "--flatten", *reversed(pair.names))
    assert (again["commit"], again["unchanged"]) == (once["commit"], True)
    upon = ("--onto=apps", "--branch=more", "--existing-store=merge", "--flatten")
    imported(repo, *upon, pair.names[1])
    assert_sound(repo, "more")
    assert_same(
        snapshot(checked_out_store(repo, "more", tmp_path / "more")),
        snapshot(checked_out_store(repo, "apps", tmp_path / "apps")),
    )


@pytest.mark.root
@pytest.mark.parametrize("order", [1, -1])
def test_a_layer_keeps_its_record_though_an_image_has_it_packed_otherwise(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, order: int
) -> None:
    gzip = build_oci(layout, "gzip", [BASE, TOP])
    zstd = build_oci(layout, "zstd", [BASE, OTHER], compression="zstd")
    names = [registry.push(one, f"merge/{one.tag}:1") for one in (gzip, zstd)][::order]
    with_store(repo, tmp_path, names[0])
    imported(repo, *MERGE, names[1])
    upon = ("--onto=apps", "--branch=more", "--existing-store=merge", "--flatten")
    imported(repo, *upon, names[0])
    base = private_ids(gzip.diff_ids)[0]
    found = []
    for branch in ("os", "apps", "more"):
        assert_sound(repo, branch)
        store = checked_out_store(repo, branch, tmp_path / branch)
        found += [layer for layer in store_layers(store) if layer["id"] == base]
    assert found == [found[0]] * 3
