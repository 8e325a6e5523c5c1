"""`image-store embed` of a store with artifacts: a layer for each blob, and one index."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.tools.artifact import push_artifact
from tests.tools.entry import Entry
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.layout import digest_of
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.storecommand import answered, image_store

pytestmark = pytest.mark.root
INDEX = f"{STORE}/artifacts/index.json"
CONF = "etc/crio/crio.conf.d/50-import-image.conf"


def embedded(repo: Path, branch: str, base: str, to: str, *flags: str) -> dict[str, Any]:
    return answered(repo, "embed", "--quiet", "--crio-conf", *flags, branch, "--base", base,
                    "--to", to)  # fmt: skip


def layer(layout: Path, digest: str, *arguments: str) -> str:
    """What tar says of a layer."""
    return run(["tar", *arguments[:1], layout / "blobs/sha256" / digest[7:], *arguments[1:]])


def names(layout: Path, document: dict[str, Any]) -> list[str]:
    """The artifacts of the index in the last layer."""
    index = json.loads(layer(layout, document["layers"][-1]["digest"], "xOzf", INDEX))
    key = "org.opencontainers.image.ref.name"
    return [entry["annotations"][key] for entry in index["manifests"]]


def test_each_blob_is_a_layer_that_stays(registry: Registry, tmp_path: Path, layout: Path) -> None:
    weights, words = os.urandom(1 << 20), os.urandom(1 << 20)
    granite = push_artifact(registry, "embed/granite:1", {"g": weights})
    speech = push_artifact(registry, "embed/speech:1", {"s": words})
    app = registry.push(build_oci(layout, "app", [[Entry(b"app")]]), "embed/app:1")
    build_oci(layout, "base", [[Entry(b"usr", "dir"), Entry(b"etc", "dir")]])
    repo, out = tmp_path / "repo", tmp_path / "out"
    flags = ("--whiteouts=none", "--artifact", granite)
    imported(repo, "--branch=one", *flags, app)
    imported(repo, "--branch=two", *flags, "--artifact", speech, app)
    first = embedded(repo, "one", f"oci:{layout}:base", f"oci:{out}:1")
    model, last = first["layers"]
    assert model["store_layers"] == [digest_of(weights)]
    assert model["images"] == ["granite:1"]
    blob = f"{STORE}/artifacts/blobs/sha256/{digest_of(weights)[7:]}"
    assert blob in layer(out, model["digest"], "tzf").splitlines()
    assert blob not in layer(out, last["digest"], "tzf").splitlines()
    assert names(out, first) == [granite]
    assert f'additional_artifact_stores = [\n    "/{STORE}",' in layer(
        out, last["digest"], "xOzf", CONF
    )
    planned = answered(repo, "embed", "--quiet", "--crio-conf", "--dry-run", "two", "--base",
                       f"oci:{layout}:base", "--to", f"oci:{out}:1")  # fmt: skip
    assert {one["store_layers"][0]: one["known"] for one in planned["layers"][:-1]} == {
        digest_of(weights): True,
        digest_of(words): False,
    }
    second = embedded(repo, "two", f"oci:{layout}:base", f"oci:{out}:2")
    assert model["digest"] in [one["digest"] for one in second["layers"]]


def test_stages_have_one_index(registry: Registry, tmp_path: Path, layout: Path) -> None:
    """What the base has is not written again; `replace` leaves the branch's alone."""
    granite = push_artifact(registry, "embed/a:1", {"g": os.urandom(1 << 20)})
    speech = push_artifact(registry, "embed/b:1", {"s": b"words"})
    app = registry.push(build_oci(layout, "app2", [[Entry(b"app2")]]), "embed/app2:1")
    build_oci(layout, "base", [[Entry(b"usr", "dir"), Entry(b"etc", "dir")]])
    repo, out = tmp_path / "repo", tmp_path / "out"
    imported(repo, "--branch=one", "--whiteouts=none", "--artifact", granite)
    imported(repo, "--branch=both", "--whiteouts=none", "--artifact", granite, "--artifact",
             speech)  # fmt: skip
    imported(repo, "--branch=image", "--whiteouts=none", app)
    embedded(repo, "one", f"oci:{layout}:base", f"oci:{out}:1")
    merge, replace = (f"--existing-store={way}" for way in ("merge", "replace"))
    merged = embedded(repo, "both", f"oci:{out}:1", f"oci:{out}:2", merge)
    assert len(merged["layers"]) == 1
    assert names(out, merged) == [granite, speech]
    image = embedded(repo, "image", f"oci:{out}:2", f"oci:{out}:3", merge)
    last = image["layers"][-1]["digest"]
    assert f"/{STORE}" in layer(out, last, "xOzf", CONF)
    assert INDEX not in layer(out, last, "tzf").splitlines()  # the base's stays
    image_store(repo, "embed", "one", f"--base=oci:{layout}:base", f"--to=oci:{out}:bare")
    image = embedded(repo, "image", f"oci:{out}:bare", f"oci:{out}:6", merge)
    assert f"/{STORE}" in layer(out, image["layers"][-1]["digest"], "xOzf", CONF)
    replaced = embedded(repo, "image", f"oci:{out}:2", f"oci:{out}:4", replace)
    listed = layer(out, replaced["layers"][0]["digest"], "tzf").splitlines()
    assert f"{STORE}/.wh.artifacts" in listed
    outcome = image_store(repo, "embed", "both", "--base", f"oci:{out}:1", "--to", f"oci:{out}:5")
    assert outcome.status == 1
    assert "has a store at" in outcome.stderr
