"""`--artifact`: models and charts beside the images, and what `image-store` does with them."""

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.artifact import EMPTY, push_artifact, push_index
from tests.tools.entry import Entry
from tests.tools.expected import STORE
from tests.tools.image import build_index, build_oci
from tests.tools.importimage import imported, run_import, run_storage
from tests.tools.importrelease import run_release
from tests.tools.layout import digest_of
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, init, ls, ostree, refs, rev_parse
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.storecommand import answered, image_store
from tests.tools.tamper import LooseStore, commit, loose

WEIGHTS = os.urandom(3 << 20)
TIME = "2025-03-04T05:06:07Z"
CONF = "usr/etc/crio/crio.conf.d/50-import-image.conf"


@dataclass(frozen=True)
class World:
    """References: two versions of a model, which share the weights, a chart and an image."""

    registry: Registry
    model: str
    newer: str
    chart: str
    image: str


@pytest.fixture(scope="module")
def world(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = {"org.opencontainers.image.created": TIME}
    files = {"model.bin": WEIGHTS, "LICENSE": b"free"}
    chart = (b'{"name":"app"}', "application/vnd.cncf.helm.config.v1+json")
    built = build_oci(tmp_path_factory.mktemp("a") / "layout", "app", [[Entry(b"app")]])
    return World(
        registry,
        push_artifact(registry, "art/granite:1", files, annotations=made),
        push_artifact(registry, "art/granite:2", {**files, "LICENSE": b"freer"}, annotations=made),
        # As Helm makes one: no type of its own.
        push_artifact(registry, "art/app:0.1.0", {"app.tgz": b"t"}, chart, kind=None),
        registry.push(built, "art/image:1"),
    )


def tree_of(repo: Path, branch: str, home: Path) -> Path:
    """The artifacts of a branch, checked out."""
    return checkout(repo, branch, home / f"tree-{branch}") / STORE / "artifacts"


def names(layout: Path) -> dict[str, str]:
    """The digests of a layout's manifests by name."""
    index = json.loads((layout / "index.json").read_bytes())
    return {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in index["manifests"]
    }


@pytest.mark.root
def test_the_layout_is_what_skopeo_makes_of_it(world: World, tmp_path: Path) -> None:
    """The same blobs under the same names, to the byte; and a lock that is elsewhere."""
    document = imported(
        tmp_path / "repo", "--branch=apps", "--artifact", world.model, "--artifact", world.chart,
        world.image,
    )  # fmt: skip
    ours = tree_of(tmp_path / "repo", "apps", tmp_path)
    for name in (world.model, world.chart):
        copy = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false"]
        run([*copy, f"docker://{name}", f"oci:{tmp_path}/theirs:{name}"])
    assert names(ours) == names(tmp_path / "theirs")
    blobs = {path.name: path.read_bytes() for path in (ours / "blobs/sha256").iterdir()}
    theirs = (tmp_path / "theirs/blobs/sha256").iterdir()
    assert blobs == {path.name: path.read_bytes() for path in theirs}
    assert (ours / "oci-layout").read_bytes() == (tmp_path / "theirs/oci-layout").read_bytes()
    assert (ours / "index.lock").readlink() == Path("/run/import-image-artifacts.lock")
    found = {one["name"]: one for one in document["artifacts"]}
    assert {name: one["digest"] for name, one in found.items()} == names(ours)
    assert found[world.chart]["artifact_type"] == "application/vnd.cncf.helm.config.v1+json"
    assert found[world.model]["artifact_type"] == "application/x.model"
    fsck(tmp_path / "repo")


def test_a_blob_that_the_repo_has_is_not_fetched_again(world: World, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=one", "--artifact", world.model)
    world.registry.blob_requests()
    again = imported(repo, "--branch=one", "--artifact", world.model)
    assert again["unchanged"]
    assert world.registry.blob_requests() == []
    newer = imported(repo, "--branch=two", f"--artifact=localhost/m:9={world.newer}")
    assert world.registry.blob_requests() == [digest_of(b"freer")]
    assert [blob["cached"] for blob in newer["artifacts"][0]["blobs"]] == [True, True, False]
    assert newer["artifacts"][0]["name"] == "localhost/m:9"
    by_digest = f"{world.model.rpartition(':')[0]}@{again['artifacts'][0]['digest']}"
    imported(repo, "--branch=one", "--artifact", world.model, "--artifact", by_digest)
    assert world.registry.blob_requests() == []


@pytest.mark.parametrize("mode", ["archive", "bare-user"])
def test_the_commit_depends_on_the_artifacts_alone(world: World, tmp_path: Path, mode: str) -> None:
    """In any kind of repo, in any order, after any other import; of the artifact's own time."""
    run(["ostree", "init", f"--repo={tmp_path}/other", f"--mode={mode}"])
    order = ["--artifact", world.model, "--artifact", world.chart]
    first = imported(tmp_path / "repo", "--branch=apps", *order)["commit"]
    imported(tmp_path / "other", "--artifact", world.newer)
    assert imported(tmp_path / "other", "--branch=other", *order[2:], *order[:2])["commit"] == first
    shown = ostree(tmp_path / "other", "show", "other")
    assert "2025-03-04 05:06:07" in shown
    assert f"artifact {world.model} sha256:" in shown


def test_without_a_branch_each_has_its_own(world: World, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    document = imported(repo, "--artifact", world.model, world.image)
    place = world.model.replace(":", "_3A_")
    assert document["artifacts"][0]["branch"] == f"oci/artifact/{place}"
    assert {ref for ref in refs(repo) if ref.startswith(("oci/artifact", "oci/image"))} == {
        f"oci/artifact/{place}",
        document["images"][0]["branch"],
    }


def test_a_dry_run_fetches_nothing(world: World, tmp_path: Path) -> None:
    flags = ("--dry-run", "--branch=apps", "--artifact", world.model)
    plain = run_import(tmp_path / "repo", *flags)
    sums = (
        "would import 0 images, 1 artifact: 3 blobs to fetch, 3,145,734 bytes; 0 blobs in the repo"
    )
    assert plain.stdout.splitlines()[-2:] == ["commit apps: 0 images, 1 artifact", sums]
    document = imported(tmp_path / "repo", *flags)
    assert document["branches"][0]["artifacts"] == [world.model]
    assert len(document["fetch"]) == 3
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize("damage", ["corrupt", "truncate", "delete"])
def test_a_damaged_blob_makes_no_branch(
    private_registry: Registry, tmp_path: Path, damage: str
) -> None:
    model = push_artifact(private_registry, "art/m:1", {"m": WEIGHTS})
    getattr(private_registry.storage, damage)(digest_of(WEIGHTS))
    outcome = run_import(tmp_path / "repo", "--branch=apps", "--artifact", model)
    assert outcome.status == 1
    assert digest_of(WEIGHTS) in outcome.stderr
    assert [ref for ref in refs(tmp_path / "repo") if not ref.startswith("oci/blob/")] == []
    fsck(tmp_path / "repo")


def test_what_cannot_be_an_artifact_is_refused(world: World, tmp_path: Path, layout: Path) -> None:
    registry, repo = world.registry, tmp_path / "repo"
    both = build_index(layout, "both", [build_oci(layout, n, [[Entry(b"x")]]) for n in "ab"])
    refused = {
        (world.image,): "a container image, not an artifact",
        (registry.push(both, "art/both:1"),): "a container image, not an artifact",
        (f"oci:{layout}:a",): "a container image, not an artifact",
        (push_artifact(registry, "art/a__x:1", {"m": b"m"}),): "no name for an artifact",
        (f"z.io/m:1={world.model}", f"z.io/m:1={world.chart}"): "two artifacts would have the name",
    }
    for artifacts, message in refused.items():
        flags = [f"--artifact={artifact}" for artifact in artifacts]
        outcome = run_import(repo, "--branch=apps", *flags)
        assert outcome.status == 1
        assert message in outcome.stderr
    assert refs(repo) == []
    outcome = run_import(repo, world.model)
    assert outcome.said("hint") == [
        "artifacts (models, charts, …) have no root file system; --artifact takes them"
    ]
    for form in ("rootfs", "layers"):
        outcome = run_import(repo, f"--form={form}", "--artifact", world.model)
        assert outcome.said("error") == ["--artifact is only for --form=store"]


def test_of_an_index_the_platform_s_manifest_is_taken(world: World, tmp_path: Path) -> None:
    """As podman and CRI-O take it. A name by the index's digest becomes one by the manifest's."""
    repo, index = tmp_path / "repo", push_index(world.registry, "art/multi")
    reference = f"{world.registry.host}/art/multi:1"
    for arch in ("arm64", "amd64"):
        call = ("--branch=one", f"--arch={arch}", "--artifact", reference)
        (found,) = imported(repo, *call)["artifacts"]
        assert [blob["digest"] for blob in found["blobs"]][1:] == [digest_of(arch.encode())]
        assert imported(repo, *call)["unchanged"]
    pinned = f"{world.registry.host}/art/multi@{index}"
    (again,) = imported(repo, "--branch=one", "--arch=amd64", "--artifact", pinned)["artifacts"]
    assert again["name"] == f"{world.registry.host}/art/multi@{found['digest']}"
    assert answered(repo, "verify", "one")["ok"]


def test_an_artifact_without_a_name_needs_one(world: World, tmp_path: Path) -> None:
    copy = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false"]
    run([*copy, f"docker://{world.chart}", f"oci:{tmp_path}/layout:c"])
    source = f"oci:{tmp_path}/layout:c"
    outcome = run_import(tmp_path / "repo", "--branch=apps", "--artifact", source)
    assert outcome.said("error")[0].endswith("the artifact has no name")
    document = imported(tmp_path / "repo", "--branch=apps", f"--artifact=z.io/c:1={source}")
    assert document["artifacts"][0]["name"] == "z.io/c:1"


def test_an_operating_system_gets_them_with_crio_told(world: World, tmp_path: Path) -> None:
    """An earlier import's artifacts stay with `merge`, also if images change their form, and go
    with `replace`."""
    repo = init(tmp_path / "repo")
    vendor = '[crio.runtime]\nadditional_artifact_stores = ["/opt"]\n'
    files = {"usr/etc/crio/crio.conf.d/10-vendor.conf": vendor}
    commit_os(repo, "os", os_tree(tmp_path / "os", files))
    flags = ("--storage-conf", "--crio-conf", "--artifact")
    imported(repo, "--onto=os", "--branch=one", *flags, world.model)
    stores = tomllib.loads(ostree(repo, "cat", "one", CONF))["crio"]["runtime"]
    assert stores["additional_artifact_stores"] == ["/opt", f"/{STORE}"]
    refused = run_import(repo, "--onto=one", "--branch=two", *flags, world.chart)
    assert refused.said("error") == [f"the base commit has a store at /{STORE} already"]
    imported(repo, "--onto=one", "--branch=two", "--existing-store=merge", *flags, world.chart)
    listed = answered(repo, "list", "two")["artifacts"]
    assert [one["name"] for one in listed] == [world.chart, world.model]
    imported(repo, "--onto=two", "--branch=images", "--existing-store=merge", "--crio-conf",
             world.image)  # fmt: skip
    assert answered(repo, "verify", "images")["branches"][0]["artifacts"] == 2
    assert f"/{STORE}" in ostree(repo, "cat", "images", CONF)
    imported(repo, "--onto=images", "--branch=changed", "--existing-store=merge",
             "--whiteouts=none", *flags, world.newer)  # fmt: skip
    listed = answered(repo, "list", "changed")["artifacts"]
    assert [one["name"] for one in listed] == [world.chart, world.model, world.newer]
    assert answered(repo, "verify", "changed")["ok"]
    imported(repo, "--onto=two", "--branch=new", "--existing-store=replace", *flags, world.newer)
    assert [one["name"] for one in answered(repo, "list", "new")["artifacts"]] == [world.newer]
    imported(repo, "--onto=two", "--branch=none", "--existing-store=replace", world.image)
    assert not any("artifacts" in path for path in ls(repo, "none", f"/{STORE}"))


@pytest.mark.root
def test_labels_are_on_each_file(world: World, tmp_path: Path) -> None:
    """The labelled blobs have a branch of their own, and are not written again."""
    repo, label = tmp_path / "repo", "system_u:object_r:container_ro_file_t:s0"
    imported(repo, "--branch=apps", f"--selinux-label={label}", "--artifact", world.model)
    tree = tree_of(repo, "apps", tmp_path)
    for path in (tree, *tree.rglob("*")):
        shown = os.getxattr(path, "security.selinux", follow_symlinks=False)
        assert shown.rstrip(b"\0").decode() == label
    assert answered(repo, "verify", "apps")["ok"]
    assert answered(repo, "prune")["branches"] == []
    digest = digest_of(WEIGHTS).replace(":", "/")
    assert any(ref.endswith(digest) and ref.startswith("oci/labelled/") for ref in refs(repo))


def test_list_diff_history_and_remove(world: World, tmp_path: Path) -> None:
    """A store without an artifact is the one that an import without it makes."""
    repo = tmp_path / "repo"
    imported(repo, "--branch=one", "--artifact", world.model, "--artifact", world.chart)
    moved = f"{world.model}={world.newer}"
    imported(repo, "--branch=two", "--artifact", moved, "--artifact=z.io/x:1=" + world.chart,
             world.image)  # fmt: skip
    rows = [line.split() for line in image_store(repo, "list", "one").stdout.splitlines()]
    digests = {
        one["name"]: one["digest"][7:19] for one in answered(repo, "list", "one")["artifacts"]
    }
    assert [row[:3] for row in rows[1:]] == [
        [name, digests[name], digests[name]] for name in (world.chart, world.model)
    ]
    ids = [digests[name] for name in (world.chart, world.model)]
    assert image_store(repo, "list", "-q", "one").stdout.split() == ids
    fields = image_store(repo, "list", "--format={{.Name}} {{.Layers}}", "one").stdout
    assert fields.splitlines() == [f"{world.chart} 2", f"{world.model} 3"]
    changes = answered(repo, "diff", "one", "two")["artifacts"]
    assert {key: [one["name"] for one in changes[key]] for key in ("added", "removed", "changed")}
    assert [one["name"] for one in changes["added"]] == ["z.io/x:1"]
    assert [one["name"] for one in changes["removed"]] == [world.chart]
    assert [one["name"] for one in changes["changed"]] == [world.model]
    shown = image_store(repo, "diff", "one", "two").stdout
    for sign, name in (("+", "z.io/x:1"), ("-", world.chart), ("~", world.model)):
        assert any(line.split()[:2] == [sign, name] for line in shown.splitlines())
    assert "  + artifact z.io/x:1" in image_store(repo, "history", "two").stdout
    assert image_store(repo, "diff", "--lost", "two", "two").status == 0
    lost = image_store(repo, "diff", "--lost", "one", "two")
    assert lost.status == 1
    assert lost.stdout.splitlines()[-1] == f"artifact {world.chart}"
    upgrade = image_store(repo, "check-upgrade", "one", "two")
    assert upgrade.status == 4
    stay = "artifacts: 1 of 2 stay, 1 of them changed; 1 new artifact"
    assert [stay, f"pods have to pull {world.chart}"] == upgrade.stdout.splitlines()[1:3]
    assert image_store(repo, "check-upgrade", "two", "two").status == 0
    imported(repo, "--branch=rest", "--artifact", moved, world.image)
    outcome = image_store(repo, "remove", "--branch=two", "z.io/x:1")
    assert outcome.stderr.splitlines() == ["branch two: −1 artifact"]  # noqa: RUF001 - minus
    assert rev_parse(repo, "two") == rev_parse(repo, "rest")
    assert not image_store(repo, "remove", "--branch=two", world.model).status
    imported(repo, "--branch=image", world.image)
    assert rev_parse(repo, "two") == rev_parse(repo, "image")
    imported(repo, "--artifact", world.model)
    branch = f"oci/artifact/{world.model.replace(':', '_3A_')}"
    assert not image_store(repo, "remove", f"--branch={branch}", world.model).status
    assert branch not in refs(repo)
    assert image_store(repo, "remove", "z.io/x:1").status == 1


def test_a_manifest_of_two_names(world: World, tmp_path: Path) -> None:
    """Each name is exported, and removed by itself."""
    repo, out = tmp_path / "repo", tmp_path / "out"
    one, other = (f"--artifact=z.io/{name}:1={world.model}" for name in "ab")
    imported(repo, "--branch=one", one, other)
    answered(repo, "export", "--quiet", "--all", f"oci:{out}")
    assert names(out).keys() == {"z.io/a:1", "z.io/b:1"}
    outcome = image_store(repo, "remove", "z.io/a:1")
    assert outcome.stderr.splitlines() == ["branch one: −1 artifact"]  # noqa: RUF001 - minus
    imported(repo, "--branch=rest", other)
    assert rev_parse(repo, "one") == rev_parse(repo, "rest")


def test_a_report_shows_where_their_space_goes(world: World, tmp_path: Path) -> None:
    """Beside the images; a blob of two artifacts is shared."""
    repo, page = tmp_path / "repo", tmp_path / "page.html"
    both = (f"--artifact={world.model}", f"--artifact={world.newer}")
    imported(repo, "--branch=one", *both, world.image)
    found = answered(repo, "report", "one", f"--output={page}")
    assert found["size"] == len(WEIGHTS) + len(b"{}freefreer")
    assert [one["name"] for one in found["artifacts"]] == [world.model, world.newer]
    text = page.read_text()
    for part in ("granite:1", "granite:2", f'["model.bin",{len(WEIGHTS)},1,[]]'):
        assert part in text


def test_a_release_tells_which_artifacts_go(world: World, tmp_path: Path) -> None:
    repo, images = tmp_path / "repo", tmp_path / "images"
    imported(repo, "--branch=one", "--artifact", world.model, world.image)
    images.write_text(f"app {world.image}\n")
    outcome = run_release(repo, "--branch=one", "--release=1", images)
    assert f"1 unchanged, artifacts no longer there: {world.model}\n" in outcome.stderr
    flags = ("--onto=one", "--branch=two", "--existing-store=merge", "--artifact", world.model)
    imported(repo, *flags)
    assert [len(answered(repo, "list", "two")[key]) for key in ("images", "artifacts")] == [1, 1]


@pytest.mark.root
def test_an_existing_store_names_what_it_leaves_out(world: World, tmp_path: Path) -> None:
    podman, repo = new_podman(tmp_path / "podman"), tmp_path / "repo"
    podman("pull", "--quiet", "--tls-verify=false", world.image)
    podman("artifact", "pull", "--quiet", "--tls-verify=false", world.model)
    outcome = run_storage(repo, "--branch=one", podman.home / "root")
    assert f"1 artifact left out: {world.model}; `import-image --artifact " in outcome.stderr
    (taken,) = re.findall(r"NAME=oci:\S+:NAME", outcome.stderr)
    taken = taken.replace("NAME", world.model)
    (found,) = imported(repo, "--branch=two", "--artifact", taken)["artifacts"]
    assert found["name"] == world.model


def test_prune_keeps_what_a_store_has(world: World, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=one", "--artifact", world.model)
    imported(repo, "--branch=two", "--artifact", world.newer)
    image_store(repo, "remove", "--branch=one", world.model)
    told = image_store(repo, "prune", "--dry-run").stdout.splitlines()
    assert told[0] == f"blob {digest_of(b'free')}"
    assert told[1].startswith("would delete 0 layers, 1 blob, ")
    gone = answered(repo, "prune")["branches"]
    assert gone == [f"oci/blob/{digest_of(b'free').replace(':', '/')}"]
    world.registry.blob_requests()
    imported(repo, "--branch=two", "--artifact", world.newer)
    assert world.registry.blob_requests() == []
    fsck(repo)


@pytest.mark.parametrize("place", ["oci:{}:3", "oci:{}", "dir:{}"])
def test_an_export_is_the_artifact(world: World, tmp_path: Path, place: str) -> None:
    repo, to = tmp_path / "repo", place.format(tmp_path / "out")
    document = imported(repo, "--branch=one", "--artifact", world.model, world.image)
    found = answered(repo, "export", "granite:1", to)
    assert found["digest"] == document["artifacts"][0]["digest"]
    source = to if to.count(":") > 1 or to.startswith("dir") else f"{to}:1"
    raw = run(["skopeo", "inspect", "--raw", source])
    assert digest_of(raw.encode()) == found["digest"]
    copy = ["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", source]
    run([*copy, f"docker://{world.registry.host}/art/back:1"])


def test_an_export_of_several_has_the_artifacts(world: World, tmp_path: Path) -> None:
    """An archive is for tools that unpack each entry as an image: there they are left out."""
    repo, out = tmp_path / "repo", tmp_path / "out"
    found = imported(repo, "--branch=one", "--artifact", world.model, world.image)
    digests = {world.model: found["artifacts"][0]["digest"]}
    answer = answered(repo, "export", "--all", f"oci:{out}")
    ids = {image["names"][0]: image["image_id"] for image in answer["images"]}
    assert ids == {world.image: found["images"][0]["image_id"], world.model: None}
    assert names(out).keys() == {world.image, world.model}
    assert names(out).items() >= digests.items()
    copy = ["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false"]
    run([*copy, f"oci:{out}:{world.model}", f"docker://{world.registry.host}/art/all:1"])
    image_store(repo, "export", "granite:1", world.image, f"oci:{tmp_path}/named")
    assert names(tmp_path / "named") == names(out)
    archive = f"oci-archive:{tmp_path}/all.tar"
    outcome = image_store(repo, "export", "--all", archive)
    assert outcome.stderr.startswith("1 artifact left out of the archive; oci:DIR takes")
    assert outcome.stdout.count("sha256:") == 1
    outcome = image_store(repo, "export", "granite:1", world.image, archive)
    assert f"error: {world.model} is an artifact, and archives are for images" in outcome.stderr


def test_show_has_each_file(world: World, tmp_path: Path) -> None:
    imported(tmp_path / "repo", "--branch=one", "--artifact", world.model)
    shown = image_store(tmp_path / "repo", "show", "granite:1").stdout.splitlines()
    assert shown[-1].split() == [
        "LICENSE",
        "4",
        "B",
        "application/octet-stream",
        digest_of(b"free"),
    ]
    found = answered(tmp_path / "repo", "show", "granite:1")
    assert [file["title"] for file in found["files"]] == ["model.bin", "LICENSE"]
    assert (found["created"], found["branches"]) == (TIME, ["one"])


def edit_index(store: LooseStore) -> None:
    (store.path / "artifacts/index.json").write_text('{"manifests": [1]}')


def damage_blob(store: LooseStore) -> None:
    path = store.path / "artifacts/blobs/sha256" / digest_of(WEIGHTS).removeprefix("sha256:")
    path.write_bytes(WEIGHTS[:-1] + b"?")


def remove_blob(store: LooseStore) -> None:
    (store.path / "artifacts/blobs/sha256" / digest_of(b"free").removeprefix("sha256:")).unlink()


def add_blob(store: LooseStore) -> None:
    (store.path / "artifacts/blobs/sha256" / ("0" * 64)).write_bytes(b"stray")


def change_manifest(store: LooseStore) -> None:
    layout = store.path / "artifacts"
    for digest in names(layout).values():
        path = layout / "blobs/sha256" / digest.removeprefix("sha256:")
        path.write_bytes(path.read_bytes() + b"\n")


def lock_here(store: LooseStore) -> None:
    lock = store.path / "artifacts/index.lock"
    lock.unlink()
    lock.touch()


def no_layout(store: LooseStore) -> None:
    (store.path / "artifacts/oci-layout").unlink()


def other_mode(store: LooseStore) -> None:
    (store.path / "artifacts/index.json").chmod(0o600)


def twice(store: LooseStore) -> None:
    path = store.path / "artifacts/index.json"
    index = json.loads(path.read_bytes())
    path.write_text(json.dumps(index | {"manifests": index["manifests"] * 2}))


@pytest.mark.root
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (edit_index, "an entry is no object"),
        (damage_blob, "the blob's content has digest"),
        (remove_blob, "is missing"),
        (add_blob, "belongs to no artifact"),
        (change_manifest, "has digest"),
        (lock_here, "is no symlink"),
        (no_layout, "is missing, or another file"),
        (other_mode, "its mode is 0600"),
        (twice, "several artifacts have the name"),
    ],
)
def test_verify_finds_each_damage(
    sound: Path, tmp_path: Path, damage: Callable[[LooseStore], None], problem: str
) -> None:
    shutil.copytree(sound, tmp_path / "repo", symlinks=True)
    store = loose(tmp_path / "repo", "apps", tmp_path / "store")
    damage(store)
    commit(store, tmp_path / "repo", "broken")
    (found,) = answered_badly(tmp_path / "repo", "broken")
    assert problem in found["problem"]


def answered_badly(repo: Path, branch: str) -> list[dict[str, str]]:
    outcome = image_store(repo, "verify", "--json", branch)
    assert outcome.status == 1
    findings: list[dict[str, str]] = outcome.document["branches"][0]["findings"]
    return findings


@pytest.fixture(scope="module")
def sound(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with a sound store on branch `apps`."""
    repo = init(tmp_path_factory.mktemp("sound") / "repo")
    imported(repo, "--branch=apps", "--artifact", world.model)
    verified = answered(repo, "verify", "apps")
    assert verified["branches"][0]["tar_size"] == len(WEIGHTS) + len(b"free") + len(EMPTY[0])
    return repo


@pytest.mark.root
def test_a_copy_is_the_commits(world: World, tmp_path: Path) -> None:
    """A directory, which --update changes, and a tar."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    to = ("--to", tmp_path / "store")
    imported(None, *to, "--artifact", world.model, world.image, env=env)
    assert names(tmp_path / "store/artifacts") == {world.model: digest(tmp_path / "store", 0)}
    weights = tmp_path / "store/artifacts/blobs/sha256" / digest_of(WEIGHTS)[7:]
    before = weights.stat()
    imported(None, *to, "--update", "--artifact", world.newer, world.image, env=env)
    assert list(names(tmp_path / "store/artifacts")) == [world.newer]
    assert (weights.stat().st_ino, weights.stat().st_ctime_ns) == (
        before.st_ino,
        before.st_ctime_ns,
    )
    assert not (weights.parent / digest_of(b"free")[7:]).exists()
    imported(None, *to, "--update", world.image, env=env)
    assert not (tmp_path / "store/artifacts").exists()
    imported(None, "--to", f"tar:{tmp_path}/store.tar", "--artifact", world.model, env=env)
    listed = run(["tar", "tf", tmp_path / "store.tar"]).splitlines()
    assert f"artifacts/blobs/sha256/{digest_of(WEIGHTS)[7:]}" in listed


def digest(store: Path, number: int) -> str:
    index = json.loads((store / "artifacts/index.json").read_bytes())
    found: str = index["manifests"][number]["digest"]
    return found
