"""`--flatten`: all of an image's files in one layer, under the name and digest it had.

podman is the judge: of what it can do with such an image, and of whether a sibling that
shares layers with it gets exactly its own files.
"""

import hashlib
import io
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.images import definition
from importer.progress import Silence
from importer.run.import_all import import_all
from layers.errors import LayerError
from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.expected import STORE, checked_out_store, merged, unpacked
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import, run_storage
from tests.tools.lab import import_job
from tests.tools.overlay import overlay_mount
from tests.tools.podman import new_podman
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, assert_same, snapshot
from tests.tools.store import store_images, store_layers, top_layer

FIXTURES = sorted(
    path.stem for path in (Path(__file__).parent.parent.parent / "fixtures/images").glob("*.layers")
)
BASE = [
    Entry(b"etc", "dir", mode=0o755),
    Entry(b"etc/secret", content=b"secret\n"),
    Entry(b"etc/keep", content=b"keep\n"),
    Entry(b"data", "dir", mode=0o750, uid=33),
    Entry(b"data/old", content=b"old\n"),
    Entry(b"data/sub", "dir", mode=0o755),
    Entry(b"data/sub/old", content=b"old\n"),
]
TOP = [
    whiteout(b"etc/secret"),
    Entry(b"data", "dir", mode=0o700, uid=33),
    opaque(b"data"),
    Entry(b"data/sub", "dir", mode=0o711, uid=7),
    Entry(b"data/sub/new", mode=0o4755, content=b"new\n", xattrs={b"user.a": b"\xff\x00="}),
    Entry(b"n" * 120, "symlink", link=b"t" * 200),
]
SIBLING = [Entry(b"etc/sibling", content=b"sibling\n")]
CONFIG = {"Cmd": ["cat", "/etc/keep"], "Env": ["PATH=/bin"]}


@dataclass(frozen=True)
class Flat:
    """A flattened image in a checked-out store, and a sibling that only the registry has."""

    reference: str
    built: BuiltImage
    sibling_reference: str
    sibling: Snapshot
    expected: Snapshot
    store: Path
    stderr: str


@pytest.fixture(scope="module")
def flat(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Flat:
    """Made once; the tests only read it."""
    home = tmp_path_factory.mktemp("flat")
    shared = [busybox_layer(), BASE]
    built = build_oci(home / "layout", "t", [*shared, TOP], config=CONFIG)
    sibling = build_oci(home / "layout", "s", [*shared, SIBLING], config=CONFIG)
    reference = registry.push(built, "flatten/t")
    repo = ostreerepo.init(home / "repo")
    outcome = run_import(repo, "--flatten", "--branch=flat", reference)
    assert outcome.status == 0, outcome.stderr
    ostreerepo.fsck(repo)
    return Flat(
        reference,
        built,
        registry.push(sibling, "flatten/s"),
        unpacked(home / "layout", "s", home / "s"),
        unpacked(home / "layout", "t", home / "t"),
        checked_out_store(repo, "flat", home / "os"),
        outcome.stderr,
    )


@pytest.mark.root
@pytest.mark.parametrize("name", FIXTURES)
def test_the_flattened_store_has_the_merged_tree_and_no_whiteout(
    registry: Registry, repo: Path, layout: Path, tmp_path: Path, fixtures: Path, name: str
) -> None:
    built = build_oci(layout, "t", definition.load(fixtures / f"{name}.layers"))
    reference = registry.push(built, f"flatten/{name}")
    imported(repo, "--flatten", "--branch=flat", reference)
    assert not [path for path in ostreerepo.ls(repo, "flat") if ".ostree-wh." in path]
    store = checked_out_store(repo, "flat", tmp_path / "os")
    assert_same(
        merged(store, built.image_id, tmp_path / "merged"),
        unpacked(layout, "t", tmp_path / "umoci"),
        ("flattened", "umoci"),
    )
    ostreerepo.fsck(repo)


@pytest.mark.root
def test_all_files_are_in_the_top_layer_and_no_id_or_digest_is_an_original_one(flat: Flat) -> None:
    (image,) = store_images(flat.store)
    layers = store_layers(flat.store)
    assert image["digest"] == flat.built.digest
    assert len(layers) == len(flat.built.layers)
    assert image["layer"] == layers[-1]["id"]
    originals = {*flat.built.diff_ids, *flat.built.layer_digests}
    for layer in layers:
        assert not originals & {layer["diff-digest"], layer["compressed-diff-digest"]}
        assert "sha256:" + layer["id"] not in originals
    for layer in layers[:-1]:
        assert not list((flat.store / "overlay" / layer["id"] / "diff").iterdir())
    top = flat.store / "overlay" / layers[-1]["id"] / "diff"
    assert_same(snapshot(top), flat.expected, ("top layer", "umoci"))


@pytest.mark.root
def test_the_diff_digest_is_that_of_a_tar_with_just_these_files(flat: Flat, tmp_path: Path) -> None:
    """podman makes it anew from the record, when an image that was built upon it is saved."""
    podman = new_podman(tmp_path / "podman", flat.store)
    (context := tmp_path / "context").mkdir()
    (context / "Containerfile").write_text(f"FROM {flat.reference}\nLABEL a=b\n")
    podman.build(context, "localhost/built")
    podman("save", f"--output={tmp_path / 'archive'}", "localhost/built")
    digest = store_layers(flat.store)[-1]["diff-digest"]
    with tarfile.open(tmp_path / "archive") as archive:
        member = archive.extractfile(f"{digest.partition(':')[2]}.tar")
        assert member is not None
        data = member.read()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    (out := tmp_path / "out").mkdir()
    (tmp_path / "tar").write_bytes(data)
    run(["tar", "--xattrs", "--xattrs-include=*", "-xpf", tmp_path / "tar", "-C", out])
    found = snapshot(out)
    found[b"."] = flat.expected[b"."]
    assert_same(found, flat.expected, ("tar", "umoci"))
    with tarfile.open(fileobj=io.BytesIO(data)) as inner:
        assert {member.mtime for member in inner} == {0}


@pytest.mark.root
def test_podman_lists_inspects_and_runs_it_under_its_original_digest(
    flat: Flat, tmp_path: Path
) -> None:
    podman = new_podman(tmp_path / "podman", flat.store)
    (image,) = podman.images()
    assert (image["Id"], image["Digest"]) == (flat.built.image_id, flat.built.digest)
    assert image["Names"] == [flat.reference]
    found = podman.inspect(flat.reference)
    assert found["Digest"] == flat.built.digest
    assert found["RootFS"]["Layers"] == list(flat.built.diff_ids)
    assert podman.run(flat.reference) == "keep\n"
    listed = podman.run(flat.reference, "ls", "/etc", "/data", "/data/sub")
    assert "secret" not in listed
    assert "old" not in listed
    history = podman("history", "--format={{.CreatedBy}}", flat.reference).split("\n")
    assert history[:3] == ["layer 2", "layer 1", "layer 0"]
    with podman.mounted(flat.reference) as mounted:
        assert_same(snapshot(mounted), flat.expected, ("podman", "umoci"))
    podman("system", "check")


@pytest.mark.root
def test_it_is_right_where_whiteouts_cannot_be(flat: Flat, repo: Path, tmp_path: Path) -> None:
    """Seen through another overlay, a store's whiteouts are gone: the outer mount hides them."""
    imported(repo, "--branch=plain", flat.reference)
    plain = checked_out_store(repo, "plain", tmp_path / "plain")
    seen = []
    for number, store in enumerate((flat.store, plain)):
        with overlay_mount([store], tmp_path / f"outer{number}") as outer:
            seen.append(merged(outer, flat.built.image_id, tmp_path / f"inner{number}"))
    assert_same(seen[0], flat.expected, ("flattened", "umoci"))
    assert b"etc/secret" in seen[1]


@pytest.mark.root
def test_import_storage_does_not_take_its_layers_for_the_original_ones(
    flat: Flat, repo: Path
) -> None:
    outcome = run_storage(repo, flat.store)
    assert outcome.status == 1
    assert "the config says" in outcome.stderr
    assert "the image was flattened" in outcome.stderr


@pytest.mark.root
def test_podman_commits_a_container_of_it(flat: Flat, tmp_path: Path) -> None:
    podman = new_podman(tmp_path / "podman", flat.store)
    create = ("create", "--name=c", "--pull=never", "--network=none")
    podman(*create, flat.reference)
    podman("cp", __file__, "c:/added")
    podman("commit", "--quiet", "c", "localhost/committed")
    assert podman.run("localhost/committed") == "keep\n"
    assert podman.run("localhost/committed", "cat", "/added") == Path(__file__).read_text()
    # The image has its parents in podman's own storage: an upgrade may take the store's away.
    own = {layer["id"]: layer for layer in store_layers(podman.home / "root")}
    top = top_layer(podman.home / "root", podman.inspect("localhost/committed")["Id"])
    while top:
        top = own[top].get("parent", "")


@pytest.mark.root
def test_podman_builds_upon_it_what_others_can_pull(
    registry: Registry, flat: Flat, tmp_path: Path
) -> None:
    podman = new_podman(tmp_path / "podman", flat.store)
    (context := tmp_path / "context").mkdir()
    (context / "file").write_text("file\n")
    (context / "Containerfile").write_text(
        f"FROM {flat.reference}\nCOPY file /file\nRUN cat /file /etc/keep > /both\n"
    )
    podman.build(context, "localhost/built")
    assert podman.run("localhost/built", "cat", "/both") == "file\nkeep\n"
    elsewhere = f"{registry.host}/flatten/built:1"
    podman("push", "--quiet", "--tls-verify=false", "localhost/built", f"docker://{elsewhere}")
    other = new_podman(tmp_path / "other")
    other("pull", "--quiet", "--tls-verify=false", elsewhere)
    assert other.run(elsewhere, "cat", "/both") == "file\nkeep\n"


@pytest.mark.root
def test_a_sibling_pulled_beside_it_gets_exactly_its_own_files(flat: Flat, tmp_path: Path) -> None:
    podman = new_podman(tmp_path / "podman", flat.store)
    for reference, expected in (
        (flat.sibling_reference, flat.sibling),
        (flat.reference, flat.expected),
    ):
        podman("pull", "--quiet", "--tls-verify=false", reference)
        with podman.mounted(reference) as mounted:
            assert_same(snapshot(mounted), expected, ("podman", "umoci"))
    ours = {layer["id"] for layer in store_layers(flat.store)}
    assert not ours & {layer["id"] for layer in store_layers(podman.home / "root")}


@pytest.mark.root
@pytest.mark.parametrize("first", [0, 1])
def test_a_sibling_imported_beside_it_gets_exactly_its_own_files(
    flat: Flat, repo: Path, tmp_path: Path, first: int
) -> None:
    """Into the same repo, with a store of its own beside the flattened one."""
    calls = [
        ("--flatten", "--branch=flat", flat.reference),
        ("--branch=plain", flat.sibling_reference),
    ]
    for call in (calls[first], calls[1 - first]):
        imported(repo, *call)
    stores = [checked_out_store(repo, name, tmp_path / name) for name in ("flat", "plain")]
    podman = new_podman(tmp_path / "podman", *stores)
    for reference, expected in (
        (flat.reference, flat.expected),
        (flat.sibling_reference, flat.sibling),
    ):
        with podman.mounted(reference) as mounted:
            assert_same(snapshot(mounted), expected, ("podman", "umoci"))


@pytest.mark.root
def test_it_cannot_be_exported_and_the_tool_says_so(
    registry: Registry, flat: Flat, tmp_path: Path
) -> None:
    assert "cannot be exported" in flat.stderr
    podman = new_podman(tmp_path / "podman", flat.store)
    exported = f"{registry.host}/flatten/exported:1"
    podman("push", "--quiet", "--tls-verify=false", flat.reference, f"docker://{exported}")
    other = new_podman(tmp_path / "other")
    with pytest.raises(CommandError, match="does not match config's DiffID"):
        other("pull", "--quiet", "--tls-verify=false", exported)


def test_the_same_again_changes_nothing_and_other_repos_have_the_same_commit(
    registry: Registry, repo: Path, layout: Path, tmp_path: Path
) -> None:
    layers = [BASE, TOP, SIBLING]
    references = [
        registry.push(build_oci(layout, str(count), layers[:count]), f"flatten/same{count}")
        for count in (3, 1, 2)
    ]
    first = imported(repo, "--flatten", "--branch=flat", *references)
    again = imported(repo, "--flatten", "--branch=flat", *references)
    assert (again["unchanged"], again["fetched_bytes"]) == (True, 0)
    other = ostreerepo.init(tmp_path / "archive", "archive")
    for reference in reversed(references):
        imported(other, "--flatten", reference)
    second = imported(other, "--flatten", "--branch=flat", *reversed(references))
    assert second["commit"] == first["commit"]
    assert all(layer["cached"] for image in second["images"] for layer in image["layers"])


def test_what_is_missing_of_an_earlier_run_is_made_again(
    registry: Registry, repo: Path, layout: Path
) -> None:
    reference = registry.push(build_oci(layout, "t", [BASE, TOP]), "flatten/missing")
    first = imported(repo, "--flatten", "--branch=flat", reference)
    flattened = ostreerepo.ls(repo, "flat", f"/{STORE}/overlay-layers")
    ids = {Path(path).name.partition(".")[0] for path in flattened if "tar-split" in path}
    for layer_id in ids:
        ostreerepo.ostree(repo, "refs", "--delete", f"oci/layer/{layer_id}")
    second = imported(repo, "--flatten", "--branch=flat", reference)
    assert (second["commit"], second["fetched_bytes"]) == (first["commit"], 0)


def test_an_image_without_layers(registry: Registry, repo: Path, layout: Path) -> None:
    reference = registry.push(build_oci(layout, "t", []), "flatten/none")
    assert imported(repo, "--flatten", reference)["images"][0]["layers"] == []


def test_a_file_with_many_links_is_a_trap(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are as many files of that size in the flattened layer's tar."""
    monkeypatch.setattr("importer.cache.tree_tar._MUCH", 8 << 20)
    links = [Entry(b"link%d" % number, "hardlink", link=b"large") for number in range(30)]
    build_oci(layout, "t", [[Entry(b"large", content=bytes(1 << 20)), *links[:19]]])
    job = import_job(tmp_path / "repo", f"oci:{layout}:t")
    flat = replace(job, target=replace(job.target, flatten=True))
    import_all(flat, Silence())
    build_oci(layout, "t", [[Entry(b"large", content=bytes(1 << 20)), *links]])
    with pytest.raises(LayerError, match="files of 1,048,576 bytes repeat to 22,020,096 bytes"):
        import_all(flat, Silence())
