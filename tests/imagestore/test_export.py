"""`image-store export`: the layers' tars byte for byte, in a layout that others accept."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from fixtures.images import definition
from importer.imagestore.export import ExportPlace, export_image
from importer.repo.writer import Repo
from importer.store.find import find_stores
from tests.tools import umoci
from tests.tools.entry import Entry, Sparse
from tests.tools.expected import private_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.podman import Podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.storecommand import answered, image_store
from tests.tools.tamper import commit, loose
from tests.tools.tarbuild import tar_bytes
from tests.tools.told import Told

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "images"
# What is not in the tree, or there in another form: the record has it.
ODD = [
    Entry(b"twice", content=b"first"),
    Entry(b"twice", content=b"second!"),
    Entry(b"./a/../b", content=b"path"),
    Entry(b".wh.whiteout", content=b"with content"),
    Entry(b".wh..wh.plnk/1.2", content=b"aufs"),
    Entry(b"hole", sparse=Sparse("1.0", 4096, ((0, b"x" * 512), (2048, b"y" * 512)))),
    Entry(b"dev/null", "char", device=(1, 3)),
    Entry(b"huge", content=b"h" * (5 << 20)),
    Entry(b"empty"),
    Entry(b"link", "hardlink", link=b"huge"),
]


def export(repo: Path, image: str, destination: str) -> dict[str, object]:
    return answered(repo, "export", "--quiet", image, destination)


def blobs(layout: Path) -> dict[str, bytes]:
    return {
        f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs/sha256").iterdir()
    }


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_the_tars_are_the_original_ones(
    registry: Registry, tmp_path: Path, layout: Path, mode: str
) -> None:
    tars = [tar_bytes(ODD), tar_bytes([Entry(b"upper")]) + bytes(10240)]
    built = build_oci(layout, "t", tars, compression=["gzip", "zstd"], annotations={"a": "b"})
    repo = tmp_path / "repo"
    run(["ostree", "init", f"--repo={repo}", f"--mode={mode}"])
    reference = registry.push(built, "export/odd:t")
    imported(repo, reference)
    document = export(repo, reference, f"oci:{tmp_path}/out:new")
    found = blobs(tmp_path / "out")
    assert [found.get(diff_id) for diff_id in built.diff_ids] == tars
    assert found[built.config_digest] == built.read(built.config)
    manifest = json.loads(found[str(document["digest"])])
    assert [layer["digest"] for layer in manifest["layers"]] == list(built.diff_ids)
    assert manifest["annotations"] == {"a": "b"}
    assert document == {
        "layout": f"{tmp_path}/out",
        "tag": "new",
        "digest": document["digest"],
        "source_digest": built.digest,
        "image_id": built.image_id,
        "diff_ids": list(built.diff_ids),
        "signatures": 0,
    }
    assert len(found) == 4  # two layers, config, manifest


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_write_the_same(
    registry: Registry,
    tmp_path: Path,
    layout: Path,
    jobs: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One layer twice; then only what is damaged is written again."""
    tars = [tar_bytes(ODD), *(tar_bytes([Entry(b"file%d" % n, content=b"x")]) for n in range(3))]
    tars.insert(2, tars[1])
    reference = registry.push(build_oci(layout, "t", tars), "export/several:t")
    imported(tmp_path / "repo", reference)
    monkeypatch.setattr("importer.workers.tasks._WORTH", 1)
    repo, out = Repo.open(tmp_path / "repo"), tmp_path / "out"
    stores = find_stores(repo, (), None)
    told = Told()
    export_image(repo, stores, reference, ExportPlace(out, "t"), told, jobs)
    assert len(told.messages) == 4
    ids = [f"sha256:{sha256(tar).hexdigest()}" for tar in tars]
    assert [blobs(out)[one] for one in ids] == tars
    for one in ids[3:]:
        (out / "blobs" / one.replace(":", "/")).write_bytes(b"damaged")
    export_image(repo, stores, reference, ExportPlace(out, "t"), told, jobs)
    assert len(told.messages) == 4 + 2
    assert [blobs(out)[one] for one in ids] == tars


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.layers")))
def test_umoci_and_skopeo_read_it(
    registry: Registry, tmp_path: Path, layout: Path, name: str
) -> None:
    built = build_oci(layout, "t", definition.load(FIXTURES / f"{name}.layers"))
    reference = registry.push(built, f"export/{name}:t")
    imported(tmp_path / "repo", reference)
    export(tmp_path / "repo", reference, f"oci:{tmp_path}/out:t")
    run(["skopeo", "--insecure-policy", "copy", f"oci:{tmp_path}/out:t", f"dir:{tmp_path}/dir"])
    one = snapshot(umoci.unpack(tmp_path / "out", "t", tmp_path / "one"))
    assert_same(one, snapshot(umoci.unpack(layout, "t", tmp_path / "two")))


@pytest.mark.root
def test_podman_takes_it_for_the_same_image(
    registry: Registry, tmp_path: Path, layout: Path, podman: Podman
) -> None:
    built = build_oci(layout, "t", [[Entry(b"f", content=b"f")], [Entry(b"g", content=b"g")]])
    reference = registry.push(built, "export/podman:t")
    imported(tmp_path / "repo", reference)
    export(tmp_path / "repo", reference, f"oci:{tmp_path}/out:t")
    assert podman("pull", "--quiet", f"oci:{tmp_path}/out:t").strip() == built.image_id
    inspected = podman.inspect(built.image_id)
    assert inspected["RootFS"]["Layers"] == list(built.diff_ids)


def two_images(registry: Registry, layout: Path) -> tuple[BuiltImage, BuiltImage]:
    one = build_oci(layout, "one", [[Entry(b"f", content=b"f")]])
    two = build_oci(layout, "two", [[Entry(b"f", content=b"f")], [Entry(b"g")]])
    registry.push(one, "export/one:1")
    registry.push(two, "export/two:2")
    return one, two


def test_images_gather_in_a_layout(registry: Registry, tmp_path: Path, layout: Path) -> None:
    one, two = two_images(registry, layout)
    repo, out = tmp_path / "repo", tmp_path / "out"
    imported(repo, "--branch=all", f"{registry.host}/export/one:1", f"{registry.host}/export/two:2")
    tags = [export(repo, f"export/{name}", f"oci:{out}")["tag"] for name in ("one:1", "two:2")]
    assert tags == ["1", "2"]
    assert _tags(out) == {"1": one.image_id, "2": two.image_id}
    export(repo, "export/two:2", f"oci:{out}:1")
    assert _tags(out) == {"1": two.image_id, "2": two.image_id}


def test_a_tag_is_that_of_a_name_that_the_image_has(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    one, two = two_images(registry, layout)
    repo, out = tmp_path / "repo", tmp_path / "out"
    imported(repo, "--branch=tag", f"{registry.host}/export/one:1")
    imported(repo, "--branch=digest", registry.by_digest(two, "export/two"))
    for text in (one.image_id, one.image_id[:12], one.digest, f"export/one@{one.digest}"):
        assert export(repo, text, f"oci:{out}")["tag"] == "1"
    for text in (two.image_id, two.digest):
        assert export(repo, text, f"oci:{out}")["tag"] == "latest"
    assert _tags(out) == {"1": one.image_id, "latest": two.image_id}


def _tags(layout: Path) -> dict[str, str]:
    found = {}
    for one in json.loads((layout / "index.json").read_bytes())["manifests"]:
        manifest = json.loads(blobs(layout)[one["digest"]])
        name = one["annotations"]["org.opencontainers.image.ref.name"]
        found[name] = manifest["config"]["digest"].partition(":")[2]
    return found


@pytest.mark.root
def test_a_damaged_layer_is_not_exported(registry: Registry, tmp_path: Path, layout: Path) -> None:
    built, _ = two_images(registry, layout)
    repo, out = tmp_path / "repo", tmp_path / "out"
    imported(repo, "--branch=all", f"{registry.host}/export/one:1")
    store = loose(repo, "all", tmp_path / "loose")
    (store.diff(private_ids(built.diff_ids)[0]) / "f").write_text("F")
    commit(store, repo, "damaged")
    outcome = image_store(repo, "export", "--branch=damaged", built.image_id, f"oci:{out}")
    assert outcome.status == 1
    error, hint = outcome.stderr.splitlines()[-2:]
    assert error.startswith("error: layer ")
    assert ": f: " in error
    assert hint.startswith("hint: ")
    assert list((out / "blobs").rglob("*sha256/*")) == []
    assert not (out / "index.json").exists()


def test_what_cannot_be_exported_is_refused(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    two_images(registry, layout)
    repo = tmp_path / "repo"
    name = f"{registry.host}/export/two:2"
    imported(repo, "--flatten", "--branch=flat", name)
    outcome = image_store(repo, "export", name, f"oci:{tmp_path}/out")
    assert outcome.status == 1
    assert "is flattened" in outcome.stderr
    imported(repo, "--branch=all", name)
    assert image_store(repo, "export", name, f"oci:{tmp_path}/out").status == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for transport in ("oci", "dir"):
        outcome = image_store(repo, "export", name, f"{transport}:{tmp_path}/full")
        assert outcome.status == 1
        assert sorted((tmp_path / "full").iterdir()) == [tmp_path / "full/file"]
    for wrong in (f"docker-daemon:{tmp_path}/full", "oci:", "dir:", f"{tmp_path}/full"):
        assert image_store(repo, "export", name, wrong).status == 2


# -- manifests of layers that are plain tars, and skopeo's dir: --


@pytest.mark.parametrize("docker", [False, True])
def test_a_manifest_of_plain_tars_stays(
    registry: Registry, tmp_path: Path, layout: Path, *, docker: bool
) -> None:
    built = build_oci(layout, "t", [[Entry(b"f", content=b"f")]], compression="none", docker=docker)
    name = registry.push(built, f"export/plain-{docker:d}:t")
    imported(tmp_path / "repo", name)
    into = [export(tmp_path / "repo", name, f"{one}:{tmp_path}/{one}") for one in ("oci", "dir")]
    assert into[1]["digest"] == built.digest
    assert into[1]["tag"] is None
    assert (tmp_path / "dir/manifest.json").read_bytes() == built.read(built.manifest)
    # A layout is OCI's, so docker's manifest does not stay in it.
    assert (into[0]["digest"] == built.digest) is not docker
    for source in (f"oci:{tmp_path}/oci:t", f"dir:{tmp_path}/dir"):
        run(["skopeo", "--insecure-policy", "copy", source, f"oci:{tmp_path}/copy:t"])
        assert _tags(tmp_path / "copy") == {"t": built.image_id}


def test_a_directory_is_of_the_last_image_alone(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    one, two = two_images(registry, layout)
    repo, out = tmp_path / "repo", tmp_path / "out"
    imported(repo, "--branch=all", f"{registry.host}/export/one:1", f"{registry.host}/export/two:2")
    export(repo, two.image_id, f"dir:{out}")
    (out / "signature-1").write_bytes(b"of another image")
    (out / "notes").touch()
    export(repo, one.image_id, f"dir:{out}")
    blobs_of_one = {digest.partition(":")[2] for digest in (*one.diff_ids, one.config_digest)}
    wanted = {*blobs_of_one, "manifest.json", "notes", "version"}
    assert {path.name for path in out.iterdir()} == wanted
    run(["skopeo", "--insecure-policy", "copy", f"dir:{out}", f"oci:{tmp_path}/copy:t"])
    assert _tags(tmp_path / "copy") == {"t": one.image_id}
