"""`--whiteouts=none`: a store of plain files, and the rules that keep containers right over it.

Each rule is one of design.md, section 9; breaking it once gave containers wrong files.
"""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.images import definition
from tests.conftest import FIXTURES
from tests.store.conftest import BASE, NONE, QUOTED, Family
from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE, blocker_id, layer_ids, merged, private_ids, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import imported, imported_storage, run_import, run_storage
from tests.tools.importrelease import run_release
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, ls, refs, rev_parse
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same
from tests.tools.store import store_images, store_layers
from tests.tools.storecommand import image_store
from tests.tools.tamper import LooseStore, commit
from tests.tools.tarbuild import Entry, whiteout

pytestmark = pytest.mark.root


def read(store: Path, layer: str, name: str) -> str:
    """A file of a layer's directory, "" if it is not there."""
    path = store / "overlay" / layer / name
    return path.read_text() if path.exists() else ""


# -- the rules --


def test_links_are_of_the_form(family: Family) -> None:
    """Rule 1: no link of one form leads to a layer of the other one."""
    links = {form: set((family.store(form) / "overlay/l").iterdir()) for form in ("none", "quoted")}
    names = {form: {link.name for link in found} for form, found in links.items()}
    assert len(names["none"]) == len(store_layers(family.store("none"))) + 1
    assert not names["none"] & names["quoted"]
    for link in links["none"]:
        _, layer, place = link.readlink().parts
        assert (read(family.store("none"), layer, "link"), place) == (link.name, "diff")


def test_ids_are_private_to_the_form(family: Family) -> None:
    """Rule 2."""
    found = {one["id"] for one in store_layers(family.store("none"))}
    assert set(family.ids) < found
    assert not found & {one["id"] for one in store_layers(family.store("quoted"))}
    assert not found & set(layer_ids(family.long.diff_ids))
    outcome = run_import(family.repo, "--branch=x", NONE, "--layer-ids=standard", family.names[0])
    assert outcome.status == 1
    assert "cannot have standard layer ids" in outcome.stderr


def test_a_layer_is_the_same_whatever_images_are_beside_it(family: Family, repo: Path) -> None:
    """Rule 3: a layer's tree, link and `lower` depend on its own chain alone."""
    imported(repo, "--branch=alone", NONE, family.names[1])
    alone = ls(repo, "alone", f"/{STORE}/overlay")
    assert set(alone) < set(ls(family.repo, "none", f"/{STORE}/overlay"))
    for one in family.ids[:3]:
        path = f"/{STORE}/overlay/{one}"
        trees = [
            ostreerepo.ostree(where, "ls", "-R", "-C", "-X", branch, path)
            for where, branch in ((repo, "alone"), (family.repo, "none"))
        ]
        assert trees[0] == trees[1]


def test_lower_has_blockers_and_ends_at_a_cut_layer(family: Family) -> None:
    """Rule 4: a layer's blocker is the first one below it, in its own file and in those above; a
    cut layer has no such file, and is the last one in those above."""
    store = family.store("none")
    busybox, base, blocks, between, cut, above = family.ids
    links = {one: f"l/{read(store, one, 'link')}" for one in family.ids}
    blocker = f"l/{read(store, family.blocker, 'link')}"
    assert [read(store, one, "lower") for one in (busybox, cut)] == ["", ""]
    assert read(store, base, "lower") == links[busybox]
    below = [blocker, links[base], links[busybox]]
    assert read(store, blocks, "lower").split(":") == below
    assert read(store, between, "lower").split(":") == [links[blocks], *below]
    assert read(store, above, "lower") == links[cut]
    assert read(store, blocks, "lower-layers").split(":") == [family.blocker, base, busybox]
    assert read(store, above, "lower-layers") == cut
    assert [read(store, one, "lower-layers") for one in (busybox, family.blocker, cut)] == [""] * 3
    (mid,) = [one["layer"] for one in store_images(store) if "none/mid:1" in one["names"][0]]
    assert read(store, mid, "lower").split(":") == [links[blocks], *below]


def test_a_blocker_ends_the_directories_that_delete_and_nothing_else(family: Family) -> None:
    """Rule 3: its links lead nowhere, so that `podman diff` finds nothing below them."""
    overlay = family.store("none") / "overlay"
    layer = overlay / family.ids[2]
    (end,) = (overlay / family.blocker / "diff").iterdir()
    assert end.name == "d"
    assert str(end.readlink()) == "nothing-below"
    assert sorted(one.name for one in (layer / "diff").iterdir()) == ["d"]
    assert sorted(one.name for one in (layer / "diff/d").iterdir()) == ["b", "sub"]


def test_a_layer_without_lower_has_an_empty_directory(family: Family) -> None:
    """Rule 5: `podman image diff` mounts it below."""
    for layer in (family.store("none") / "overlay").iterdir():
        if layer.name != "l":
            empty = layer / "empty"
            assert empty.is_dir() is not (layer / "lower").exists()
            assert not (empty.is_dir() and [*empty.iterdir()])
    assert not [*(family.store("quoted") / "overlay").glob("*/empty")]


def test_the_records_are_the_originals(family: Family) -> None:
    """Rule 6: parents, digests, sizes, images and tar-split files."""
    none, quoted = family.store("none"), family.store("quoted")
    names = dict(zip(described(none), described(quoted), strict=True))
    assert described(none) == described(quoted)
    assert len(names) == len(store_layers(none))
    for mine, theirs in zip(family.ids, private_ids(family.long.diff_ids), strict=True):
        splits = (
            (store / "overlay-layers" / f"{one}.tar-split.gz").read_bytes()
            for store, one in ((none, mine), (quoted, theirs))
        )
        assert len(set(splits)) == 1
    images = [[one | {"layer": ""} for one in store_images(store)] for store in (none, quoted)]
    assert images[0] == images[1]


def described(store: Path) -> dict[tuple[str, ...], dict[str, object]]:
    """The records of a store's layers without ids, by the diffIDs from the base to the layer."""
    known = {one["id"]: one for one in store_layers(store)}

    def chain(record: dict[str, str]) -> tuple[str, ...]:
        below = chain(known[record["parent"]]) if "parent" in record else ()
        return (*below, record["diff-digest"])

    return dict(
        sorted(
            (chain(one), {key: one[key] for key in one if key not in ("id", "parent")})
            for one in known.values()
        )
    )


def test_two_stores_of_different_forms_beside_each_other(family: Family, tmp_path: Path) -> None:
    """Rule 7: by rule 1, podman starts each image from the store that it found it in."""
    for stores in (("none", "quoted"), ("quoted", "none")):
        plain = checkout(family.repo, "quoted", tmp_path / f"{stores[0]}-first") / STORE
        paths = {"none": family.store("none"), "quoted": plain}
        podman = new_podman(tmp_path / f"podman-{stores[0]}", *(paths[one] for one in stores))
        for name in family.names:
            assert podman.run(name, "cat", "/d/b") == "d/b"
        assert (
            podman.run(family.names[0], "ls", "/d", "/d/sub")
            == "/d:\na\nb\ne\nsub\n\n/d/sub:\nnew\n"
        )


# -- the trees --


def test_no_name_of_a_whiteout_is_in_the_store(family: Family) -> None:
    assert not [path for path in ls(family.repo, "none") if ".ostree-wh." in path]
    assert [path for path in ls(family.repo, "quoted") if ".ostree-wh." in path]


def test_fixtures_mean_what_umoci_unpacks(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    """The kernel's overlay over a plain checkout; verified, and each layer's tar made again."""
    images = {
        path.stem: build_oci(layout, path.stem, definition.load(path))
        for path in sorted(FIXTURES.glob("*.layers"))
    }
    names = [registry.push(built, f"none-fixtures/{tag}:1") for tag, built in images.items()]
    imported(repo, "--branch=all", NONE, *names)
    outcome = image_store(repo, "verify", "all")
    assert outcome.status == 0, outcome.stdout
    store = checkout(repo, "all", tmp_path / "plain", passthrough_whiteouts=False) / STORE
    for tag, built in images.items():
        assert_same(
            merged(store, built.image_id, tmp_path / f"merged-{tag}"),
            unpacked(layout, tag, tmp_path / f"umoci-{tag}"),
            ("store", f"umoci {tag}"),
        )
    ostreerepo.fsck(repo)


def test_entries_that_the_form_adds_are_told(family: Family, repo: Path) -> None:
    outcome = run_import(repo, "--json", "--branch=one", NONE, family.names[0])
    layers = outcome.document["images"][0]["layers"]
    added = [layer.get("added_entries") for layer in layers]
    store = family.store("none")
    trees = [
        [
            one
            for part in (layer, blocker_id(layer))
            for one in (store / "overlay" / part / "diff").rglob("*")
        ]
        for layer in family.ids
    ]
    own = [None, None, {"d", "d/sub", "d/sub/new"}, None, {"srv", "srv/z"}, None]
    expected = [
        len(trees[number]) - len(names) if names is not None else None
        for number, names in enumerate(own)
    ]
    assert added == expected
    assert added[2] == 2  # d/b, and the blocker's d
    total = sum(filter(None, added))
    told = f"layers that delete files: 2, with {total} more entries of the layers below"
    assert told in outcome.stderr
    quoted = imported(repo, "--branch=quoted", QUOTED, family.names[0])
    assert not [one for one in quoted["images"][0]["layers"] if "added_entries" in one]


def test_the_form_costs_directories_alone(family: Family, repo: Path) -> None:
    imported(repo, "--branch=quoted", family.names[0])
    before = objects(repo)
    imported(repo, "--branch=one", NONE, family.names[0])
    new = objects(repo) - before
    listed = ostreerepo.ostree(repo, "ls", "-R", "-C", "one", f"/{STORE}/overlay").splitlines()
    files = {line.split()[4] for line in listed if "/diff/" in line and not line.startswith("d")}
    assert files
    assert not {f"{one}.file" for one in files} & new


def objects(repo: Path) -> set[str]:
    """The names of a repo's objects."""
    return {path.name for path in (repo / "objects").glob("*/*")}


# -- the form of a branch --


def test_a_branch_keeps_its_form_until_the_user_says_otherwise(family: Family, repo: Path) -> None:
    imported(repo, "--branch=one", NONE, family.names[0])
    head = rev_parse(repo, "one")
    outcome = run_import(repo, "--branch=one", family.names[1])
    assert outcome.status == 1
    (error,), (hint,) = outcome.said("error"), outcome.said("hint")
    assert error == (
        "branch one has a store with --whiteouts=none, and this import would write one with"
        " --whiteouts=quoted"
    )
    assert "--whiteouts=none keeps to the form" in hint
    assert "containers of its images have to be made again" in hint
    assert rev_parse(repo, "one") == head
    planned = run_import(repo, "--branch=one", "--dry-run", "--json", QUOTED, family.names[0])
    assert planned.document["unchanged"] is False
    changed = run_import(repo, "--branch=one", QUOTED, family.names[0])
    assert (
        "one: the store is --whiteouts=quoted now: on devices with the old store" in changed.stderr
    )
    imported(repo, "--branch=other", QUOTED, family.names[0])
    assert rev_parse(repo, "one") == rev_parse(repo, "other")


def test_another_run_finds_the_cut_trees(family: Family, repo: Path) -> None:
    first = imported(repo, "--branch=one", NONE, family.names[0])
    cuts = {ref: rev_parse(repo, ref) for ref in refs(repo) if ref.startswith("oci/cut/")}
    assert {ref.rpartition("/")[2] for ref in cuts} == {family.ids[2], family.ids[4]}
    again = imported(repo, "--branch=one", NONE, family.names[0])
    assert again["unchanged"]
    assert again["images"][0]["layers"] == [
        one | {"cached": True} for one in first["images"][0]["layers"]
    ]
    assert {ref: rev_parse(repo, ref) for ref in refs(repo) if ref.startswith("oci/cut/")} == cuts


def test_prune_keeps_the_cut_trees_of_stores(family: Family, repo: Path) -> None:
    imported(repo, "--branch=one", NONE, family.names[0])
    before = refs(repo)
    assert image_store(repo, "prune").status == 0
    assert refs(repo) == before
    imported(repo, "--branch=one", NONE, family.names[1])
    gone = image_store(repo, "prune", "--json").document
    assert f"oci/cut/{family.ids[4]}" in gone["branches"]
    assert f"oci/cut/{family.ids[2]}" not in gone["branches"]
    assert gone["layers"] == sorted(layer_ids(family.long.diff_ids)[3:])
    imported(repo, "--branch=one", QUOTED, family.names[1])
    assert image_store(repo, "prune").status == 0
    assert not [ref for ref in refs(repo) if ref.startswith("oci/cut/")]


def test_labels_are_on_the_files_of_cut_layers(family: Family, repo: Path) -> None:
    label = "--selinux-label=system_u:object_r:container_ro_file_t:s0"
    imported(repo, "--branch=one", NONE, label, family.names[0])
    listed = ostreerepo.ostree(repo, "ls", "-R", "-X", "one", f"/{STORE}/overlay").splitlines()
    assert len(listed) > 50
    assert not [line for line in listed if "container_ro_file_t" not in line]
    assert image_store(repo, "verify", "one").status == 0
    assert image_store(repo, "prune").status == 0
    again = imported(repo, "--branch=one", NONE, label, family.names[0])
    assert again["unchanged"]
    imported(repo, "--branch=one", NONE, family.names[0])
    assert image_store(repo, "verify", "one").status == 0


def test_a_layer_that_cannot_be_verified_is_not_cut(family: Family, tmp_path: Path) -> None:
    """Other machines could have other files under the same id and link."""
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", "--tls-verify=false", family.names[0])
    base, other = (layer_ids(family.long.diff_ids)[number] for number in (1, 5))
    root = podman.home / "root"
    for number, one in enumerate((other, base)):
        (root / "overlay-layers" / f"{one}.tar-split.gz").unlink()
        repo = tmp_path / f"repo-{number}"
        outcome = run_storage(repo, "--branch=one", NONE, root)
        assert outcome.status == 1
        assert "has no tar-split record to verify it by" in outcome.said("error")[0]
    imported_storage(tmp_path / "repo", "--branch=one", "--flatten", root)


def test_an_unverified_layer_without_deletions_is_as_ever(
    family: Family, repo: Path, tmp_path: Path
) -> None:
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", "--tls-verify=false", family.names[2])
    base = layer_ids(family.long.diff_ids)[0]
    (podman.home / "root/overlay-layers" / f"{base}.tar-split.gz").unlink()
    imported_storage(repo, "--branch=one", NONE, podman.home / "root")
    store = checkout(repo, "one", tmp_path / "b", passthrough_whiteouts=False) / STORE
    assert base in {one["id"] for one in store_layers(store)}
    assert image_store(repo, "verify", "one").status == 0
    assert new_podman(tmp_path / "podman-2", store).run(family.names[2], "cat", "/o") == "other\n"


def test_more_entries_than_allowed_are_refused(repo: Path, layout: Path) -> None:
    delete, make = [whiteout(b"x")], [Entry(b"x")]
    build_oci(layout, "t", [busybox_layer(), BASE, delete, make, delete])
    image = f"example.com/a:t=oci:{layout}:t"
    outcome = run_import(repo, "--branch=one", NONE, image, config={"max-entries": "40"})
    assert outcome.status == 1
    assert "layers delete files, and would hold" in outcome.said("error")[0]
    assert "--flatten" in outcome.said("hint")[0]
    assert [ref for ref in refs(repo) if ref.startswith("oci/cut/")] == []


# -- upon another store --


def test_a_store_that_is_merged_into_keeps_or_changes_its_form(
    family: Family, repo: Path, tmp_path: Path
) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    theirs = unpacked(family.layout, "long", tmp_path / "umoci")
    for old, new in (("none", "quoted"), ("quoted", "none")):
        onto = ("--onto=plain", f"--branch=os-{old}", f"--whiteouts={old}")
        imported(repo, *onto, family.names[0])
        merge = (f"--onto=os-{old}", f"--branch=to-{new}", "--existing-store=merge")
        if new == "quoted":
            outcome = run_import(repo, *merge, family.names[1])
            assert "the base commit has a store with --whiteouts=none" in outcome.said("error")[0]
            assert "--whiteouts=quoted changes it" in outcome.said("hint")[0]
        imported(repo, *merge, f"--whiteouts={new}", family.names[1])
        assert image_store(repo, "verify", f"to-{new}").status == 0
        tree = checkout(repo, f"to-{new}", tmp_path / new, passthrough_whiteouts=new == "quoted")
        images = store_images(tree / STORE)
        assert len(images) == 2
        ours = merged(tree / STORE, family.long.image_id, tmp_path / f"merged-{new}")
        assert_same(ours, theirs, ("store", "umoci"))
    imported(repo, "--onto=os-none", "--branch=kept", *merge[2:], NONE, family.names[1])
    assert image_store(repo, "verify", "kept").status == 0
    assert not [path for path in ls(repo, "kept") if ".ostree-wh." in path]
    ostreerepo.ostree(repo, "refs", "--delete", f"oci/layer/{layer_ids(family.long.diff_ids)[3]}")
    outcome = run_import(repo, *merge, NONE, family.names[1])
    assert outcome.status == 1
    assert "cannot change its form: branch oci/layer/" in outcome.said("error")[0]
    assert "--existing-store=replace" in outcome.said("hint")[0]


def test_a_store_of_two_forms_is_refused_by_verify(family: Family, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    ostreerepo.init(repo)
    loose = LooseStore(tmp_path / "both")
    run(["cp", "--archive", family.home / "none", loose.root])
    quoted = family.store("quoted")
    run(["cp", "--archive", "--no-clobber", f"{quoted}/overlay", loose.path])
    run(["cp", "--archive", "--no-clobber", f"{quoted}/overlay-layers", loose.path])
    both = [*store_layers(family.store("none")), *store_layers(quoted)]
    (loose.path / "overlay-layers/layers.json").write_text(json.dumps(both))
    commit(loose, repo, "both")
    outcome = image_store(repo, "verify", "both")
    assert outcome.status == 1
    assert "the store has layers of two forms: with whiteouts, and without" in outcome.stdout
    assert "has whiteouts, in a store without whiteouts" in outcome.stdout


def test_a_release_keeps_its_form_until_it_is_told_otherwise(
    family: Family, repo: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"{family.names[1]}\n")
    flags = ("--branch=night", "--release=r1", listed)
    assert run_release(repo, *flags, NONE).status == 0
    listed.write_text("".join(f"{name}\n" for name in family.names[:2]))
    for check in ((), ("--dry-run",)):
        outcome = run_release(repo, *flags, *check)
        assert outcome.status == 1
        assert "branch night has a store with --whiteouts=none" in outcome.stderr
    assert run_release(repo, *flags, NONE, "--keep-images=1").status == 0
    assert image_store(repo, "verify", "night").status == 0
    assert not [path for path in ls(repo, "night") if ".ostree-wh." in path]
    checked = run_release(repo, *flags, QUOTED, "--keep-images=1", "--dry-run")
    assert "--whiteouts" in checked.stdout
    outcome = run_release(repo, *flags, QUOTED)
    assert "night: the store is --whiteouts=quoted now" in outcome.stderr
    assert [path for path in ls(repo, "night") if ".ostree-wh." in path]


def test_a_config_file_decides_where_nothing_else_does(
    family: Family, repo: Path, tmp_path: Path
) -> None:
    path = tmp_path / "xdg/import-image/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('whiteouts = "none"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    imported(repo, "--branch=one", family.names[1], env=env)
    assert not [path for path in ls(repo, "one") if ".ostree-wh." in path]
    imported(repo, "--form=layers", family.names[1], env=env)
    imported(repo, "--branch=two", QUOTED, family.names[1], env=env)
    outcome = run_import(repo, "--branch=two", family.names[1], env=env)
    assert outcome.status == 1  # a default changes no branch
    assert "branch two has a store with --whiteouts=quoted" in outcome.stderr
    outcome = run_import(repo, "--form=layers", NONE, family.names[1])
    assert outcome.status == 2
    assert "--whiteouts is only for --form=store" in outcome.stderr


def test_verify_compares_layers_that_delete_with_their_chain(
    family: Family, tmp_path: Path
) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    loose = LooseStore(tmp_path / "loose")
    run(["cp", "--archive", family.home / "none", loose.root])
    busybox, base, blocks, _, cut, above = family.ids
    (loose.diff(blocks) / "d/a").write_text("back")
    (loose.diff(blocks) / "d/b").unlink()
    (loose.diff(blocks) / "stray").mkdir()
    (loose.diff(blocks) / "d/.ostree-wh.q").touch()
    (loose.diff(cut) / "d/e").unlink()
    (loose.diff(cut) / "d/e").write_text("changed")
    (loose.diff(cut) / "bin").chmod(0o700)
    (loose.diff(cut) / "odd").touch()
    (loose.path / "overlay" / above / "lower").unlink()
    (loose.path / "overlay" / busybox / "empty").rmdir()
    commit(loose, repo, "broken")
    document = json.loads(image_store(repo, "verify", "--json", "broken").stdout)
    found = {
        (one["layer"], one["path"]): one["problem"] for one in document["branches"][0]["findings"]
    }
    assert found[blocks, "d/a"] == "is there, and the layer's tar deletes it"
    assert found[blocks, "d/b"] == "is not as a layer below has it"
    assert found[blocks, "stray"] == "the directory is not in the layer's tar"
    assert found[blocks, "d/.ostree-wh.q"] == "a whiteout, in a store without whiteouts"
    assert found[cut, "d/e"] == "is not as the layers below have it"
    assert found[cut, "bin"].startswith("its mode, owner or xattrs")
    assert found[cut, "odd"] == "is neither in the layer's tar nor in the layers below"
    assert "its tar deletes nothing" in found[above, ""]
    assert found["", f"overlay/{busybox}/empty"] == "is missing"
    assert not [key for key in found if key[0] == base]


def test_verify_compares_a_blocker_with_what_the_layer_deletes(
    family: Family, tmp_path: Path
) -> None:
    """Without its blocker, or with a smaller one, deleted files would be back."""
    repo = ostreerepo.init(tmp_path / "repo")
    other, blocks, above = family.ids[1:4]
    link = read(family.store("none"), family.blocker, "link")

    def found(change: str) -> dict[tuple[str, str], str]:
        """What verify finds in a store with this change; problems by layer and path."""
        loose = LooseStore(tmp_path / change)
        run(["cp", "--archive", family.home / "none", loose.root])
        overlay = loose.path / "overlay"
        end = overlay / family.blocker / "diff/d"
        if change == "move":
            run(["cp", "--archive", overlay / family.blocker, overlay / blocker_id(other)])
            end.rename(end.with_name("e"))
            (overlay / "l" / link).unlink()
            (overlay / "l" / link).symlink_to(f"../{blocks}/diff")
        elif change == "replace":
            end.unlink()
            end.touch()
        else:
            shutil.rmtree(overlay / family.blocker)
        commit(loose, repo, change)
        document = json.loads(image_store(repo, "verify", "--json", change).stdout)
        findings = document["branches"][0]["findings"]
        return {(one["layer"], one["path"]): one["problem"] for one in findings}

    says, moved = "in the layer's blocker: ", found("move")
    assert moved[blocks, "d"] == f"{says}is missing: what the layer deletes there is back"
    assert moved[blocks, "e"] == f"{says}is there, and the layer's tar deletes nothing in it"
    assert moved[other, "d"] == f"{says}is there, and the layer's tar deletes nothing in it"
    assert "leads to" in moved["", f"overlay/l/{link}"]
    assert found("replace") == {(blocks, "d"): f"{says}is no symlink to nothing-below"}
    removed = found("remove")
    assert removed[blocks, "d/a"] == "its whiteout is missing: what was deleted is back"
    assert f"overlay/{above}/lower" in {path for _, path in removed}
