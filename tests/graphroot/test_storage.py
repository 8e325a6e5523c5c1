"""import-storage of podman's own stores: the same commits as from the registry, and read only."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.images import definition, real_image
from tests.tools.busybox import busybox_layer
from tests.tools.expected import checked_out_store, layer_ids
from tests.tools.image import BuiltImage, BuiltIndex, build_index, build_oci
from tests.tools.importimage import NOBODY, imported, imported_storage, run_storage
from tests.tools.ostreerepo import fsck, heads, ls, refs, rev_parse
from tests.tools.podman import QUIET_CREATE, Podman, new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.store import store_images, store_layers, store_lowers
from tests.tools.tarbuild import Entry, opaque, whiteout

pytestmark = pytest.mark.root

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "images"
# Those that podman unpacks as their tars say; see docs/semantics.md for the others.
NAMES = ("deletions", "opaque-recreated", "owners-modes-xattrs")
BASE = [Entry(b"a", "dir", mode=0o755), Entry(b"a/f", content=b"f\n"), Entry(b"b", content=b"b\n")]
UPPER = [Entry(b"a", "dir", mode=0o700), opaque(b"a"), Entry(b"a/g"), whiteout(b"b")]


@dataclass(frozen=True)
class Filled:
    """A podman that has pulled these images from the registry; nobody may change its store."""

    podman: Podman
    references: dict[str, str]
    built: dict[str, BuiltImage | BuiltIndex]

    @property
    def root(self) -> Path:
        return self.podman.home / "root"

    def image_id(self, name: str) -> str:
        built = self.built[name]
        return (built.images[0] if isinstance(built, BuiltIndex) else built).image_id


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Filled:
    """The fixtures' images, an index, two images that share a layer, and a committed container."""
    home = tmp_path_factory.mktemp("filled")
    built: dict[str, BuiltImage | BuiltIndex] = {}
    for name in NAMES:
        layers = definition.load(FIXTURES / f"{name}.layers")
        built[name] = build_oci(home / "layout", name, layers)
    built["shared-1"] = build_oci(home / "layout", "shared-1", [BASE])
    built["shared-2"] = build_oci(home / "layout", "shared-2", [BASE, UPPER], compression="zstd")
    member = build_oci(home / "layout", "member", [busybox_layer()])
    built["listed"] = build_index(home / "layout", "listed", [member])
    podman = new_podman(home / "podman")
    references = {name: registry.push(one, f"filled/{name}:1") for name, one in built.items()}
    podman("pull", "--quiet", "--tls-verify=false", *references.values())
    container = podman("create", *QUIET_CREATE, references["listed"], "/bin/sh").strip()
    mounted = Path(podman("mount", container).strip())
    (mounted / "new").write_text("new\n")
    shutil.rmtree(mounted / "bin")
    podman("umount", container)
    podman("commit", "--quiet", container, "localhost/committed:1")
    return Filled(podman, references, built)


@dataclass(frozen=True)
class Whole:
    """An import of the whole store: its document, its repo, and the checked out store."""

    document: dict[str, Any]
    repo: Path
    store: Path


@pytest.fixture(scope="module")
def whole(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Nobody may change it."""
    home = tmp_path_factory.mktemp("whole")
    document = imported_storage(home / "repo", filled.root)
    store = checked_out_store(home / "repo", document["branch"], home / "os")
    return Whole(document, home / "repo", store)


@pytest.fixture
def store(filled: Filled, tmp_path: Path) -> Iterator[Path]:
    """A copy that a test may break."""
    run(["cp", "-a", filled.root, tmp_path / "store"])
    yield tmp_path / "store"
    shutil.rmtree(tmp_path / "store")


def diff(store: Path, layer_id: str) -> Path:
    return store / "overlay" / layer_id / "diff"


def layers_of(filled: Filled, name: str) -> list[str]:
    built = filled.built[name]
    return layer_ids((built.images[0] if isinstance(built, BuiltIndex) else built).diff_ids)


# -- the same as from the registry --


@pytest.mark.parametrize("name", [*NAMES, "shared-2"])
def test_an_image_gives_the_commit_that_the_registry_gives(
    filled: Filled, tmp_path: Path, name: str
) -> None:
    theirs = imported(tmp_path / "registry", "--branch=os/store", filled.references[name])
    ours = imported_storage(
        tmp_path / "store", "--branch=os/store", filled.root, filled.references[name]
    )
    # The one counts what came over the network, the other what it read.
    assert ours.pop("fetched_bytes") > 0
    assert theirs.pop("fetched_bytes") > 0
    assert ours == theirs
    assert heads(tmp_path / "registry").items() <= heads(tmp_path / "store").items()
    fsck(tmp_path / "store")


def test_an_image_of_an_index_has_the_names_of_its_store(filled: Filled, tmp_path: Path) -> None:
    """import-image adds one by the index's digest; podman does not, and still finds it so."""
    theirs = imported(tmp_path / "registry", filled.references["listed"])["images"][0]
    ours = imported_storage(tmp_path / "store", filled.root, "listed:1")["images"][0]
    digest = filled.built["listed"].digest
    assert {ours["digest"], theirs["digest"]} == {digest}
    assert ours["layers"] == theirs["layers"]
    name = filled.references["listed"]
    assert ours["names"] == [name]
    assert theirs["names"] == [name, f"{name.rpartition(':')[0]}@{digest}"]
    store = checked_out_store(tmp_path / "store", ours["branch"], tmp_path / "os")
    podman = new_podman(tmp_path / "podman", store)
    assert podman.inspect(f"{name.rpartition(':')[0]}@{digest}")["Id"] == filled.image_id("listed")


def test_a_whole_store_gives_the_commit_of_all_its_images(filled: Filled, tmp_path: Path) -> None:
    references = [one for name, one in filled.references.items() if name != "listed"]
    theirs = imported(tmp_path / "registry", "--branch=os/store", *references)
    ours = imported_storage(tmp_path / "store", "--branch=os/store", filled.root, *references)
    assert ours["commit"] == theirs["commit"]
    assert refs(tmp_path / "store") == refs(tmp_path / "registry")


def test_a_real_image_gives_the_layers_that_the_registry_gives(
    registry: Registry, podman: Podman, tmp_path: Path
) -> None:
    built = real_image.build(tmp_path / "layout", "real")
    reference = f"{registry.host}/storage/real:1"
    flags = ["--quiet", "--preserve-digests", "--dest-tls-verify=false"]
    run(["skopeo", "copy", *flags, built.reference, f"docker://{reference}"])
    podman("pull", "--quiet", "--tls-verify=false", reference)
    theirs = imported(tmp_path / "registry", "--branch=os/store", reference)
    ours = imported_storage(tmp_path / "store", "--branch=os/store", podman.home / "root")
    assert ours["commit"] == theirs["commit"]
    assert ours["images"][0]["layers"] == theirs["images"][0]["layers"]
    assert len(ours["images"][0]["layers"]) == 4


def test_a_partially_pulled_image_gives_the_same_layers(
    filled: Filled, registry: Registry, podman: Podman, tmp_path: Path
) -> None:
    """zstd:chunked: podman fetches the files that it has not got yet one by one."""
    reference = f"{registry.host}/filled/chunked:1"
    flags = ["--quiet", "--tls-verify=false", "--force-compression"]
    source = filled.references["deletions"]
    filled.podman("push", *flags, "--compression-format=zstd:chunked", source, reference)
    conf = podman.home / "storage.conf"
    partial = '[storage.options.pull_options]\nenable_partial_images = "true"\n'
    conf.write_text(conf.read_text() + partial)
    podman("pull", "--quiet", "--tls-verify=false", reference)
    root = podman.home / "root"
    assert all(layer.get("toc-digest") for layer in store_layers(root))
    theirs = imported(tmp_path / "registry", "--branch=os/store", reference)
    ours = imported_storage(tmp_path / "store", "--branch=os/store", root)
    assert ours["commit"] == theirs["commit"]
    assert ours["images"][0]["layers"] == theirs["images"][0]["layers"]


def test_the_registry_has_nothing_to_give_after_it(
    filled: Filled, registry: Registry, repo: Path
) -> None:
    imported_storage(repo, filled.root, filled.references["deletions"])
    registry.blob_requests()
    found = imported(repo, filled.references["deletions"])
    assert all(layer["cached"] for layer in found["images"][0]["layers"])
    assert registry.blob_requests() == [filled.built["deletions"].config.digest]  # type: ignore[union-attr]


def test_what_the_registry_gave_is_not_read_again(filled: Filled, repo: Path) -> None:
    imported(repo, filled.references["shared-2"])
    found = imported_storage(repo, filled.root, filled.references["shared-2"])
    assert found["fetched_bytes"] == 0
    assert [layer["cached"] for layer in found["images"][0]["layers"]] == [True, True]


# -- what is taken, and where it goes --


def test_without_names_all_images_are_in_one_store(filled: Filled, whole: Whole) -> None:
    found, repo = whole.document, whole.repo
    names = [name for image in found["images"] for name in image["names"]]
    assert {*filled.references.values(), "localhost/committed:1"} <= set(names)
    assert found["branch"].startswith("oci/storage/_2F_")
    assert found["commit"] == rev_parse(repo, found["branch"])
    layer_refs = {ref for ref in refs(repo) if ref.startswith("oci/layer/")}
    containers = {layer["id"] for layer in store_layers(filled.root) if layer.get("names")}
    everything = {layer["id"] for layer in store_layers(filled.root)}
    assert len(containers) == 1
    assert layer_refs == {f"oci/layer/{one}" for one in everything - containers}


def test_the_second_time_nothing_changes(filled: Filled, repo: Path) -> None:
    first = run_storage(repo, "--unchanged-exit-77", filled.root)
    again = run_storage(repo, "--unchanged-exit-77", filled.root)
    assert (first.status, again.status) == (0, 77)
    assert again.stdout == first.stdout


def test_nothing_of_the_machine_comes_along(filled: Filled, repo: Path) -> None:
    found = imported_storage(repo, "--prefix=/s", filled.root, "listed:1", "shared-2:1")
    paths = ls(repo, found["branch"])
    assert "/s/overlay-images/images.json" in paths
    top = {path.split("/")[2] for path in paths if path.startswith("/s/")}
    assert top == {"overlay", "overlay-images", "overlay-layers"}
    inside = {path.split("/")[4] for path in paths if path.count("/") == 4 and "/overlay/" in path}
    links = {one for one in inside if len(one) == 26}
    assert inside - links == {"diff", "link", "lower", "lower-layers"}


@pytest.mark.parametrize("how", ["name", "short", "id", "prefix", "digest", "short digest"])
def test_an_image_is_chosen_as_podman_chooses_it(filled: Filled, repo: Path, how: str) -> None:
    full = filled.references["deletions"]
    digest = filled.built["deletions"].digest
    text = {
        "name": full,
        "short": "deletions:1",
        "id": filled.image_id("deletions"),
        "prefix": filled.image_id("deletions")[:12],
        "digest": f"{full.rpartition(':')[0]}@{digest}",
        "short digest": f"deletions@{digest}",
    }[how]
    assert filled.podman("image", "inspect", "--format={{.Id}}", text).strip() == filled.image_id(
        "deletions"
    )
    found = imported_storage(repo, filled.root, text)
    assert [image["image_id"] for image in found["images"]] == [filled.image_id("deletions")]


def test_an_index_is_found_by_its_digest(filled: Filled, repo: Path) -> None:
    name = filled.references["listed"].rpartition(":")[0]
    found = imported_storage(repo, filled.root, f"{name}@{filled.built['listed'].digest}")
    assert [image["image_id"] for image in found["images"]] == [filled.image_id("listed")]


def test_a_name_that_no_image_has(filled: Filled, tmp_path: Path) -> None:
    outcome = run_storage(tmp_path / "repo", filled.root, "quay.io/no/such:1")
    assert outcome.status == 1
    assert outcome.said("error") == ["the store has no image 'quay.io/no/such:1'"]
    assert outcome.said("hint")
    assert not (tmp_path / "repo").exists()


def test_the_layers_alone(filled: Filled, repo: Path) -> None:
    outcome = run_storage(repo, "--form=layers", filled.root, filled.references["shared-2"])
    ids = layers_of(filled, "shared-2")
    assert outcome.stdout.split() == [rev_parse(repo, f"oci/layer/{one}") for one in ids]
    assert not [ref for ref in refs(repo) if ref.startswith("oci/storage")]


# -- used by podman --


@pytest.mark.parametrize("name", ["deletions", "shared-2", "listed"])
def test_podman_sees_the_same_tree_in_our_store(
    filled: Filled, whole: Whole, tmp_path: Path, name: str
) -> None:
    ours = new_podman(tmp_path / "podman", whole.store)
    with filled.podman.mounted(filled.image_id(name)) as mounted:
        theirs = snapshot(mounted)
    with ours.mounted(filled.references[name]) as mounted:
        assert_same(snapshot(mounted), theirs, ("ours", "podman's"))


def test_podman_runs_and_names_what_was_committed_there(
    filled: Filled, whole: Whole, tmp_path: Path
) -> None:
    podman = new_podman(tmp_path / "podman", whole.store)
    with podman.mounted("localhost/committed:1") as mounted:
        assert (mounted / "new").read_text() == "new\n"
        assert not (mounted / "bin").exists()
    assert podman.run(filled.references["listed"], "/bin/sh", "-c", "echo runs") == "runs\n"


# -- the source is only read --


def test_the_store_is_not_touched(filled: Filled, tmp_path: Path) -> None:
    def looks() -> object:
        times = {
            path: (path.lstat().st_atime_ns, path.lstat().st_ctime_ns)
            for path in sorted(filled.root.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        return times, snapshot(filled.root, ignore_xattrs=())

    looks()  # which itself sets access times for the first time
    before = looks()
    imported_storage(tmp_path / "repo", filled.root)
    assert looks() == before


def test_a_store_on_a_read_only_mount(filled: Filled, whole: Whole, tmp_path: Path) -> None:
    where = tmp_path / "mounted"
    where.mkdir()
    run(["mount", "--bind", filled.root, where])
    try:
        run(["mount", "-o", "remount,bind,ro", where])
        with pytest.raises(OSError, match="Read-only"):
            (where / "x").touch()
        found = imported_storage(tmp_path / "repo", where)
    finally:
        run(["umount", where])
    assert found["commit"] == whole.document["commit"]


def test_a_store_whose_lock_podman_holds(filled: Filled, store: Path, tmp_path: Path) -> None:
    with (store / "overlay-layers" / "layers.lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        found = run_storage(tmp_path / "repo", store, filled.references["shared-1"])
    assert found.status == 0


def test_a_way_to_the_store_through_a_symlink(filled: Filled, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(filled.root)
    found = imported_storage(tmp_path / "repo", tmp_path / "link", filled.references["shared-1"])
    assert found["branch"].endswith("_2F_link")
    around = imported_storage(
        tmp_path / "repo", tmp_path / "repo/../link/.", filled.references["shared-1"]
    )
    assert (around["branch"], around["unchanged"]) == (found["branch"], True)


# -- without root --


def test_a_readable_copy_needs_no_root(filled: Filled, unprivileged: Path) -> None:
    run(["cp", "-a", filled.root, unprivileged / "store"])
    run(["chown", "-R", "65534:65534", unprivileged / "store"])
    name = filled.references["deletions"]
    found = imported_storage(
        unprivileged / "repo", "--branch=os/store", unprivileged / "store", name, wrapper=NOBODY
    )
    as_root = imported_storage(unprivileged / "root", "--branch=os/store", filled.root, name)
    assert found["commit"] == as_root["commit"]


@pytest.mark.parametrize(
    "part", ["", "overlay-images", "overlay-layers", "overlay", "diff", "diff/etc/keep"]
)
def test_what_may_not_be_read_is_named(filled: Filled, unprivileged: Path, part: str) -> None:
    store = unprivileged / "store"
    run(["cp", "-a", filled.root, store])
    run(["chown", "-R", "65534:65534", store])
    layer = f"overlay/{layers_of(filled, 'deletions')[0]}/diff"
    secret = store / part.replace("diff", layer)
    run(["chown", "0:0", secret])
    secret.chmod(0o700)
    name = filled.references["deletions"]
    outcome = run_storage(unprivileged / "repo", store, name, wrapper=NOBODY)
    assert outcome.status == 1
    (error,) = outcome.said("error")
    assert str(secret) in error
    assert error.endswith(": Permission denied")
    assert "run as root" in outcome.said("hint")[0]


# -- a store that is not as it should be --


def refused(repo: Path, *arguments: object) -> tuple[str, str]:
    """The error and the hint of an import that has to fail, and moves no ref."""
    outcome = run_storage(repo, *map(str, arguments))
    assert outcome.status == 1, outcome.stdout
    assert not [ref for ref in refs(repo) if ref.startswith("oci/storage")]
    fsck(repo)
    (error,) = outcome.said("error")
    return error, "\n".join(outcome.said("hint"))


def test_a_changed_file_is_named(filled: Filled, store: Path, repo: Path) -> None:
    base = layers_of(filled, "deletions")[0]
    (diff(store, base) / "etc/keep").write_text("evil\n")
    error, hint = refused(repo, store, filled.references["deletions"])
    assert error == (
        f"layer sha256:{base}: etc/keep: the file's content is not what it was when the layer was"
        " unpacked"
    )
    assert "pull" in hint


def test_a_file_of_another_size_is_named(filled: Filled, store: Path, repo: Path) -> None:
    base = layers_of(filled, "deletions")[0]
    with (diff(store, base) / "etc/keep").open("a") as file:
        file.write("more")
    error, _ = refused(repo, store, filled.references["deletions"])
    assert "etc/keep: the file has 9 bytes, and had 5" in error


@pytest.mark.parametrize("becomes", ["nothing", "a directory", "a fifo", "a symlink"])
def test_a_file_that_is_none_any_more_is_named(
    filled: Filled, store: Path, repo: Path, becomes: str
) -> None:
    path = diff(store, layers_of(filled, "deletions")[0]) / "etc/keep"
    path.rename(path.with_name("moved"))
    if becomes == "a directory":
        path.mkdir()
    elif becomes == "a fifo":
        os.mkfifo(path)
    elif becomes == "a symlink":
        path.symlink_to("moved")
    error, _ = refused(repo, store, filled.references["deletions"])
    assert "etc/keep: the " in error


def test_a_symlink_in_a_directory_s_place_is_not_followed(
    filled: Filled, store: Path, repo: Path
) -> None:
    top = diff(store, layers_of(filled, "deletions")[0])
    (top / "etc").rename(top / "elsewhere")
    (top / "etc").symlink_to("elsewhere")
    error, _ = refused(repo, store, filled.references["deletions"])
    assert "etc/keep: the file is gone" in error


def test_a_changed_record_is_found(filled: Filled, store: Path, repo: Path) -> None:
    ids = layers_of(filled, "shared-2")
    records = [store / "overlay-layers" / f"{one}.tar-split.gz" for one in ids]
    shutil.copy(records[0], records[1])
    error, _ = refused(repo, store, filled.references["shared-2"])
    assert error.startswith(f"layer {filled.built['shared-2'].diff_ids[1]}: ")  # type: ignore[union-attr]


def test_a_record_that_is_cut_short(filled: Filled, store: Path, repo: Path) -> None:
    record = store / "overlay-layers" / f"{layers_of(filled, 'shared-1')[0]}.tar-split.gz"
    record.write_bytes(record.read_bytes()[:-20])
    error, _ = refused(repo, store, filled.references["shared-1"])
    assert "gzip" in error


def test_a_record_that_cannot_be_read_is_named(filled: Filled, store: Path, repo: Path) -> None:
    """As on a disk that fails: it can be opened, and reading it is an error."""
    record = store / "overlay-layers" / f"{layers_of(filled, 'shared-1')[0]}.tar-split.gz"
    record.unlink()
    record.mkdir()
    error, _ = refused(repo, store, filled.references["shared-1"])
    assert error.endswith(f"{record}: Is a directory")


def test_overlay_s_unfinished_files_are_refused(filled: Filled, store: Path, repo: Path) -> None:
    path = diff(store, layers_of(filled, "deletions")[0]) / "etc/keep"
    path.write_bytes(bytes(path.stat().st_size))
    os.setxattr(path, "trusted.overlay.metacopy", b"")
    error, hint = refused(repo, store, filled.references["deletions"])
    assert "etc/keep: its data is in a lower layer, where it is not to be found" in error
    assert "metacopy=on" in hint
    path.unlink()
    os.setxattr(path.parent, "trusted.overlay.redirect", b"/x")
    error, hint = refused(repo, store, filled.references["deletions"])
    assert "etc/keep: the layer's directory uses overlayfs's redirect" in error
    assert "redirect_dir" in hint


def test_composefs_layers_are_refused(filled: Filled, store: Path, repo: Path) -> None:
    (store / "overlay" / layers_of(filled, "shared-1")[0] / "composefs-data").mkdir()
    error, hint = refused(repo, store, filled.references["shared-1"])
    assert "composefs" in error
    assert "use_composefs" in hint
    # Another image of the same store can still be had.
    imported_storage(repo, store, filled.references["deletions"])


@pytest.mark.parametrize("damage", ["record", "directory", "incomplete"])
def test_an_image_without_all_its_layers(
    filled: Filled, store: Path, repo: Path, damage: str
) -> None:
    top = layers_of(filled, "shared-2")[1]
    path = store / "overlay-layers" / "layers.json"
    records = json.loads(path.read_text())
    if damage == "record":
        records = [record for record in records if record["id"] != top]
    elif damage == "directory":
        shutil.rmtree(store / "overlay" / top)
    else:
        for record in records:
            record.update({"flags": {"incomplete": True}} if record["id"] == top else {})
    path.write_text(json.dumps(records))
    error, _ = refused(repo, store, filled.references["shared-2"])
    assert "not all of its layers" in error
    outcome = run_storage(repo, store)
    assert f"{filled.references['shared-2']}: left out" in outcome.stderr
    assert outcome.status == 0
    names = [image["names"] for image in imported_storage(repo, store)["images"]]
    assert [filled.references["shared-1"]] in names
    assert [filled.references["shared-2"]] not in names


def test_a_list_that_was_made_in_the_store(filled: Filled, repo: Path, tmp_path: Path) -> None:
    """`podman manifest create`, and `podman build --manifest`."""
    podman = new_podman(tmp_path / "podman")
    run(["cp", "-a", filled.root, podman.home / "root"])
    podman("manifest", "create", "localhost/list:1", filled.references["shared-1"])
    error, said = refused(repo, podman.home / "root", "list:1")
    assert "it is a manifest list" in error
    assert "podman manifest inspect" in said
    outcome = run_storage(repo, podman.home / "root")
    assert "localhost/list:1: left out: it is a manifest list" in outcome.stderr
    assert outcome.status == 0
    listed = json.loads(podman("manifest", "inspect", "localhost/list:1"))
    digest = listed["manifests"][0]["digest"]
    document = imported_storage(repo, podman.home / "root", digest)
    assert document["images"][0]["digest"] == digest


@pytest.mark.parametrize("document", ["manifest", "config"])
def test_a_changed_document_is_found(
    filled: Filled, store: Path, repo: Path, document: str
) -> None:
    folder = store / "overlay-images" / filled.image_id("shared-1")
    for path in folder.iterdir():
        is_config = b"rootfs" in path.read_bytes()
        if is_config == (document == "config") and path.name != "manifest":
            path.write_bytes(path.read_bytes() + b" ")
    error, said = refused(repo, store, filled.references["shared-1"])
    assert "has digest" in error
    assert "the store is damaged" in said


@pytest.mark.parametrize("cut", [True, False])
def test_a_changed_manifest_is_found_whatever_the_one_under_its_digest_is(
    filled: Filled, store: Path, repo: Path, cut: bool
) -> None:
    path = store / "overlay-images" / filled.image_id("shared-1") / "manifest"
    path.write_bytes(b"" if cut else path.read_bytes() + b" ")
    error, said = refused(repo, store, filled.references["shared-1"])
    assert "none of its manifests' digests" in error
    assert "the store is damaged" in said


@pytest.mark.parametrize("name", ["overlay-images/images.json", "overlay-layers/layers.json"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b'[{"id": "../../x"}]', b"[1]"])
def test_records_that_cannot_be_read_are_named(
    filled: Filled, tmp_path: Path, repo: Path, name: str, content: bytes
) -> None:
    root = tmp_path / "root"
    for one in ("overlay-images/images.json", "overlay-layers/layers.json"):
        (root / one).parent.mkdir(parents=True)
        (root / one).write_bytes((filled.root / one).read_bytes())
    (root / name).write_bytes(content)
    error, said = refused(repo, root)
    assert error.startswith(f"{root / name}: ")
    assert "the store is damaged" in said


def test_a_key_that_is_none_is_told_with_its_image(filled: Filled, store: Path, repo: Path) -> None:
    path = store / "overlay-images" / "images.json"
    records = json.loads(path.read_text())
    records[0]["big-data-names"].append("manifest-none")
    path.write_text(json.dumps(records))
    error, _ = refused(repo, store)
    assert records[0]["names"][0] in error


@pytest.mark.parametrize(
    ("entries", "hint"),
    [
        (["vfs", "vfs-images", "vfs-layers"], "its driver is vfs"),
        (["btrfs", "btrfs-images"], "its driver is btrfs"),
        (["image/btrfs"], "its driver is btrfs"),
        (["io.containerd.content.v1.content"], "containerd"),
        (["containerd/daemon"], "containerd"),
        (["engine-id", "buildkit", "volumes"], "containerd"),
        (["storage"], "did you mean"),
        (["containerd", "passwd"], "usually /var/lib/containers/storage"),  # /etc
        ([], "usually /var/lib/containers/storage"),
    ],
)
def test_other_directories_are_refused(
    tmp_path: Path, repo: Path, entries: list[str], hint: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for entry in entries:
        (root / entry).mkdir(parents=True)
    error, said = refused(repo, root)
    assert "no store of images" in error
    assert hint in said


def test_no_directory_at_all(tmp_path: Path, repo: Path) -> None:
    error, _ = refused(repo, tmp_path / "none")
    assert error == f"{tmp_path / 'none'}: No such file or directory"


def test_an_empty_store(podman: Podman, repo: Path) -> None:
    podman("images")
    error, _ = refused(repo, podman.home / "root")
    assert "no complete image" in error or "has no overlay-" in error


def test_the_records_say_what_podman_s_say(filled: Filled, whole: Whole) -> None:
    """Every image by id, names, digest and documents; every chain as long."""
    theirs = {image["id"]: image for image in store_images(filled.root)}
    ours = {image["id"]: image for image in store_images(whole.store)}
    assert ours.keys() == theirs.keys()
    for one, image in ours.items():
        assert sorted(image["names"]) == sorted(theirs[one]["names"])
        assert image["digest"] == theirs[one]["digest"]
        assert image["big-data-digests"] == theirs[one]["big-data-digests"]
        assert len(store_lowers(whole.store, one)) == len(store_lowers(filled.root, one))
