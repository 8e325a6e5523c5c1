"""image-store and import-storage tell the same of stores with and without whiteouts."""

import json
from pathlib import Path

import pytest

from tests.store.conftest import NONE, Family
from tests.tools.expected import STORE, layer_ids, unpacked
from tests.tools.importimage import imported, imported_storage, run_storage
from tests.tools.ostreerepo import checkout, refs, rev_parse
from tests.tools.snapshot import assert_same
from tests.tools.storecommand import answered, image_store

pytestmark = pytest.mark.root


def test_show_tells_the_layers_own_parts(family: Family) -> None:
    found = {
        form: answered(family.repo, "show", f"--branch={form}", family.names[0])
        for form in ("none", "quoted")
    }
    cut = [layer.pop("cut") for layer in found["none"]["layers"]]
    assert cut == [False, False, False, False, True, False]
    whole = [layer.pop("whole_directories") for layer in found["none"]["layers"]]
    assert whole == [[], [], ["/d"], [], [], []]
    for other in ("cut", "whole_directories"):
        assert not any(layer.pop(other) for layer in found["quoted"]["layers"])
    for document in found.values():
        document.pop("branches")
        for layer in document["layers"]:
            layer.pop("store_layer_id")
    assert found["none"] == found["quoted"]
    text = image_store(family.repo, "show", "--branch=none", family.names[0]).stdout
    assert "cut:       1 layer, with all files of the layers below" in text
    assert "whole:     1 directory, with files of the layers below" in text


def test_list_tells_the_form(family: Family) -> None:
    listed = answered(family.repo, "list", "none", "quoted")["images"]
    assert {(one["branch"], one["whiteouts"]) for one in listed} == {
        ("none", "none"),
        ("quoted", "quoted"),
    }
    assert " FORM" in image_store(family.repo, "list", "none").stdout
    assert " FORM" not in image_store(family.repo, "list", "quoted").stdout


def test_a_report_has_the_same_sizes(family: Family, tmp_path: Path) -> None:
    found = []
    for form in ("none", "quoted"):
        document = answered(family.repo, "report", f"--output={tmp_path}/{form}.html", form)
        found.append(json.dumps(document["images"], sort_keys=True))
    assert found[0] == found[1]


def test_export_makes_the_original_layers_again(family: Family, tmp_path: Path) -> None:
    to = f"oci:{tmp_path}/layout:t"
    document = answered(family.repo, "export", "--branch=none", family.names[0], to)
    assert document["diff_ids"] == list(family.long.diff_ids)
    assert document["image_id"] == family.long.image_id
    again = unpacked(tmp_path / "layout", "t", tmp_path / "again")
    theirs = unpacked(family.layout, "long", tmp_path / "umoci")
    assert_same(again, theirs, ("exported", "original"))


def test_diff_tells_the_change_of_form(family: Family) -> None:
    document = answered(family.repo, "diff", "quoted", "none")
    assert document["whiteouts"] == {"from": "quoted", "to": "none"}
    assert document["images"] == {"added": [], "removed": [], "changed": [], "unchanged": 3}
    assert document["layers"] == {"added": [], "removed": []}
    told = image_store(family.repo, "diff", "quoted", "none").stdout
    assert "whiteouts: quoted in A, none in B; all containers have to be made again" in told


def test_remove_leaves_a_sound_store(family: Family, repo: Path) -> None:
    imported(repo, "--branch=apps", NONE, *family.names)
    assert image_store(repo, "remove", "--branch=apps", family.names[0]).status == 0
    assert image_store(repo, "verify", "apps").status == 0
    imported(repo, "--branch=rest", NONE, *family.names[1:])
    assert rev_parse(repo, "apps") == rev_parse(repo, "rest")


def test_a_checked_out_store_is_imported_by_its_layers(family: Family, tmp_path: Path) -> None:
    repo = tmp_path / "other"
    imported_storage(repo, "--branch=again", NONE, family.store("none"))
    layers = [f"oci/layer/{one}" for one in layer_ids(family.long.diff_ids)]
    assert set(layers) < set(refs(repo))
    for one in layers:
        assert rev_parse(repo, one) == rev_parse(family.repo, one)
    assert image_store(repo, "verify", "again").status == 0
    store = checkout(family.repo, "none", tmp_path / "none", passthrough_whiteouts=False) / STORE
    (store / f"overlay-layers/{family.ids[2]}.tar-split.gz").unlink()
    outcome = run_storage(tmp_path / "third", "--branch=x", store)
    assert outcome.status == 1
    assert "its directory may hold files of the layers below" in outcome.said("error")[0]
