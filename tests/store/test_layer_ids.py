"""`--layer-ids`: which ids the layers of a store have, and what keeps to them.

`image-store verify`, podman and the kernel's overlay judge the stores.
"""

from pathlib import Path

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.expected import (
    checked_out_store,
    layer_ids,
    merged,
    private_ids,
    unpacked,
)
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, imported_storage, run_import
from tests.tools.importrelease import run_release
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import refs, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same
from tests.tools.store import store_layers
from tests.tools.storecommand import answered, image_store
from tests.tools.tarbuild import Entry, whiteout

pytestmark = pytest.mark.root

BASE = [Entry(b"a", content=b"a\n"), Entry(b"b", content=b"b\n")]
TOP = [whiteout(b"a"), Entry(b"c", content=b"c\n")]
OTHER = [Entry(b"o", content=b"other\n")]
STANDARD, PRIVATE = "--layer-ids=standard", "--layer-ids=private"


class Pair:
    """Two images with a common base, in the registry."""

    def __init__(self, registry: Registry, layout: Path) -> None:
        base = [busybox_layer(), BASE]
        self.one = build_oci(layout, "one", [*base, TOP], config={"Cmd": ["cat", "/c"]})
        self.two = build_oci(layout, "two", [*base, OTHER], config={"Cmd": ["cat", "/o"]})
        self.names = [registry.push(self.one, "ids/one:1"), registry.push(self.two, "ids/two:1")]

    def standard(self, *images: BuiltImage) -> set[str]:
        return {
            one for image in images or (self.one, self.two) for one in layer_ids(image.diff_ids)
        }

    def private(self, *images: BuiltImage) -> set[str]:
        built = images or (self.one, self.two)
        return {one for image in built for one in private_ids(image.diff_ids)}


@pytest.fixture
def pair(registry: Registry, layout: Path) -> Pair:
    return Pair(registry, layout)


def stored(repo: Path, branch: str, where: Path) -> tuple[Path, set[str]]:
    """The store of a branch, found sound, and the ids of its layers."""
    assert image_store(repo, "verify", "--quiet", branch).status == 0
    store = checked_out_store(repo, branch, where)
    return store, {layer["id"] for layer in store_layers(store)}


def test_standard_ids_make_the_commit_that_they_always_made(repo: Path, pair: Pair) -> None:
    document = imported(repo, "--branch=apps", STANDARD, pair.names[0])
    (image,) = document["images"]
    ids = [(one["layer_id"], one["store_layer_id"]) for one in image["layers"]]
    assert ids == [(one, one) for one in layer_ids(pair.one.diff_ids)]
    again = imported(repo, "--branch=apps", PRIVATE, pair.names[0])
    assert again["commit"] != document["commit"]
    back = run_import(repo, "--json", "--branch=apps", STANDARD, pair.names[0])
    assert back.document["commit"] == document["commit"]
    assert "the layers of the store have standard ids now, and had private ones" in back.stderr


def test_a_store_that_is_merged_into_keeps_its_ids(repo: Path, tmp_path: Path, pair: Pair) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    for kind, expected in ((STANDARD, pair.standard()), (PRIVATE, pair.private())):
        name = kind.rpartition("=")[2]
        imported(repo, "--onto=plain", f"--branch=os-{name}", kind, pair.names[0])
        merge = (f"--onto=os-{name}", f"--branch=apps-{name}", "--existing-store=merge")
        imported(repo, *merge, pair.names[1])
        _, ids = stored(repo, f"apps-{name}", tmp_path / name)
        assert ids == expected


@pytest.mark.parametrize(("before", "now"), [(STANDARD, PRIVATE), (PRIVATE, STANDARD)])
def test_a_store_may_have_a_layer_under_both_ids(
    repo: Path, tmp_path: Path, layout: Path, pair: Pair, before: str, now: str
) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    imported(repo, "--onto=plain", "--branch=os", before, pair.names[0])
    merge = ("--onto=os", "--branch=apps", "--existing-store=merge", now)
    imported(repo, *merge, pair.names[1])
    store, ids = stored(repo, "apps", tmp_path / "both")
    kinds = {STANDARD: pair.standard, PRIVATE: pair.private}
    assert ids == kinds[before](pair.one) | kinds[now](pair.two)
    podman = new_podman(tmp_path / "podman", store)
    assert [podman.run(name) for name in pair.names] == ["c\n", "other\n"]
    for built in (pair.one, pair.two):
        assert_same(
            merged(store, built.image_id, tmp_path / f"m-{built.tag}"),
            unpacked(layout, built.tag, tmp_path / f"u-{built.tag}"),
            ("store", "umoci"),
        )
    for gone, kept in (pair.names, pair.names[::-1]):
        branch = f"only-{kept.rpartition('/')[2][:3]}"
        imported(repo, "--onto=os", f"--branch={branch}", *merge[2:], pair.names[1])
        assert image_store(repo, "remove", f"--branch={branch}", gone).status == 0
        rest, _ = stored(repo, branch, tmp_path / branch)
        assert all(link.exists() for link in (rest / "overlay/l").iterdir())
        assert new_podman(tmp_path / f"podman-{branch}", rest).run(kept) in ("c\n", "other\n")


def test_a_release_keeps_its_ids_until_it_is_told_otherwise(
    repo: Path, tmp_path: Path, pair: Pair
) -> None:
    def release(number: int, *flags: str) -> str:
        listed = tmp_path / f"list-{number}"
        listed.write_text("".join(f"{name}\n" for name in pair.names[:number]))
        outcome = run_release(repo, "--branch=night", f"--release=r{number}", listed, *flags)
        assert outcome.status == 0, outcome.stderr
        return outcome.stderr

    release(1, STANDARD)
    release(2)
    assert stored(repo, "night", tmp_path / "kept")[1] == pair.standard()
    head = rev_parse(repo, "night")
    told = release(2, PRIVATE)
    assert "the layers of the store have private ids now, and had standard ones" in told
    assert stored(repo, "night", tmp_path / "changed")[1] == pair.private()
    difference = answered(repo, "diff", head, "night")
    assert difference["layers"] == {"added": [], "removed": []}
    assert {one["store_layer_id"] for one in difference["lost"]["layers"]} == pair.standard()
    shown = image_store(repo, "diff", head, "night").stdout
    assert "layer ids: standard in A, private in B" in shown


def test_an_upgrade_costs_the_same_with_either_ids(repo: Path, pair: Pair) -> None:
    costs = []
    for kind in ("standard", "private"):
        imported(repo, f"--branch=old-{kind}", f"--layer-ids={kind}", pair.names[0])
        imported(repo, f"--branch=new-{kind}", f"--layer-ids={kind}", *pair.names)
        costs.append(answered(repo, "diff", f"old-{kind}", f"new-{kind}")["fetch"])
    standard, private = costs
    # The commit's metadata says that the ids are private.
    assert 0 < private["bytes"] - standard["bytes"] < 64
    assert private == standard | {"bytes": private["bytes"]}


def test_a_store_of_ours_is_imported_as_any_other(repo: Path, tmp_path: Path, pair: Pair) -> None:
    imported(repo, "--branch=apps", *pair.names)
    store, ids = stored(repo, "apps", tmp_path / "apps")
    other = tmp_path / "other"
    document = imported_storage(other, "--branch=again", store)
    found = {one["layer_id"] for image in document["images"] for one in image["layers"]}
    assert found == pair.standard()
    layers = {ref for ref in refs(repo) if ref.startswith("oci/layer/")}
    assert {ref for ref in refs(other) if ref.startswith("oci/layer/")} == layers
    assert all(rev_parse(other, ref) == rev_parse(repo, ref) for ref in layers)
    assert stored(other, "again", tmp_path / "again")[1] == ids


def test_a_layer_without_a_record_keeps_its_standard_id(
    repo: Path, tmp_path: Path, pair: Pair
) -> None:
    """containers-storage would copy it with other bytes than its digest says."""
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", "--tls-verify=false", pair.names[0])
    top = layer_ids(pair.one.diff_ids)[2]
    (podman.home / "root/overlay-layers" / f"{top}.tar-split.gz").unlink()
    imported_storage(repo, "--branch=apps", podman.home / "root")
    _, ids = stored(repo, "apps", tmp_path / "apps")
    assert ids == {*private_ids(pair.one.diff_ids)[:2], top}


def test_prune_keeps_the_layers_of_stores_of_either_kind(repo: Path, pair: Pair) -> None:
    imported(repo, "--branch=private", pair.names[0])
    imported(repo, "--branch=standard", STANDARD, pair.names[1])
    before = refs(repo)
    assert image_store(repo, "prune").status == 0
    assert refs(repo) == before
    imported(repo, "--branch=private", pair.names[1])
    assert image_store(repo, "prune").status == 0
    gone = {ref.rpartition("/")[2] for ref in set(before) - set(refs(repo))}
    assert gone == {layer_ids(pair.one.diff_ids)[2]}
