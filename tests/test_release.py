"""The nightly job, against a registry with release payloads and a release controller."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools import ostreerepo
from tests.tools.controller import Controller, Reply, accepted
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import build_index, build_oci
from tests.tools.importrelease import changes, failed, released, run_release
from tests.tools.nightly import COMPONENTS, Nightlies, Nightly
from tests.tools.ostreerepo import fsck, ostree, refs, rev_parse
from tests.tools.process import Argument, run
from tests.tools.registry import Registry
from tests.tools.store import store_images
from tests.tools.storecommand import image_store
from tests.tools.tarbuild import Entry, whiteout

STREAM = "4.20.0-0.nightly"
AMD64 = f"oci/release/{STREAM}/amd64"
ARM64 = f"oci/release/{STREAM}/arm64"
STORE = "/usr/lib/containers/storage"


@dataclass(frozen=True)
class World:
    """Two nightlies, `second` with two new components, and a repo with the first one."""

    registry: Registry
    controller: Controller
    nightlies: Nightlies
    first: Nightly
    first_arm64: Nightly
    second: Nightly
    repo: Path
    document: dict[str, Any]

    def serve(self, nightly: Nightly) -> list[str]:
        """Makes it the stream's newest; the arguments that ask for it."""
        suffix = "" if nightly.arch == "amd64" else f"-{nightly.arch}"
        answer = accepted(nightly.name, nightly.pullspec)
        self.controller.stream(STREAM + suffix, nightly.arch, answer)
        return [
            f"--stream={STREAM}",
            f"--controller={self.controller.template}",
            f"--arch={nightly.arch}",
        ]

    def file(self, nightly: Nightly, where: Path) -> list[str]:
        """The same release out of a file, for which no payload is read."""
        path = write(where / f"{nightly.name}.json", nightly.release_info())
        return [str(path), f"--branch=oci/release/{STREAM}/{nightly.arch}"]

    def copy(self, where: Path) -> Path:
        """A repo of the test's own, with the first nightly."""
        return Path(shutil.copytree(self.repo, where / "repo", symlinks=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    where = tmp_path_factory.mktemp("release")
    with Registry() as registry, Controller() as controller:
        nightlies = Nightlies(registry, where / "layout")
        first = nightlies.push(f"{STREAM}-2024-05-06-070809")
        first_arm64 = nightlies.push(f"{STREAM}-arm64-2024-05-06-070809", "arm64")
        second = nightlies.push(f"{STREAM}-2024-05-07-070809", changed=["etcd", "pod"])
        repo = where / "repo"
        made = World(registry, controller, nightlies, first, first_arm64, second, repo, {})
        arguments = [*made.serve(first), *made.serve(first_arm64)]
        made.document.update(released(repo, *arguments))
        yield made


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Path:
    return world.copy(tmp_path)


def metadata(repo: Path, ref: str, key: str) -> str:
    return ostree(repo, "show", f"--print-metadata-key={key}", ref).strip().strip("'")


def tree(repo: Path, ref: str) -> list[str]:
    """The whole tree with modes and checksums."""
    return ostree(repo, "ls", "--recursive", "--checksum", ref).splitlines()


def history(repo: Path, ref: str) -> list[str]:
    lines = ostree(repo, "log", ref).splitlines()
    return [line.split()[1] for line in lines if line.startswith("commit ")]


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


# --- the first nightly --------------------------------------------------------------------


def test_a_stream_is_imported_to_a_branch_for_each_architecture(world: World) -> None:
    parts = world.document["releases"]
    assert [part["branch"] for part in parts] == [AMD64, ARM64]
    assert [part["arch"] for part in parts] == ["amd64", "arm64"]
    assert [part["commit"] for part in parts] == [
        rev_parse(world.repo, ref) for ref in (AMD64, ARM64)
    ]
    assert all(len(part["changes"]["added"]) == len(COMPONENTS) for part in parts)
    fsck(world.repo)
    verified = image_store(world.repo, "verify", AMD64)
    assert verified.status == 0, verified


def test_the_store_has_the_images_under_their_digests(world: World, tmp_path: Path) -> None:
    checked_out = tmp_path / "os"
    ostree(world.repo, "checkout", "-U", ARM64, checked_out)
    records = store_images(checked_out / STORE.strip("/"))
    assert {name for one in records for name in one["names"]} == set(
        world.first_arm64.pullspecs.values()
    )
    assert {one["id"] for one in records} == {
        image.image_id for image in world.first_arm64.images.values()
    }


def test_the_commit_says_which_release_it_is(world: World) -> None:
    assert metadata(world.repo, AMD64, "version") == world.first.name
    assert metadata(world.repo, AMD64, "import-release.name") == world.first.name
    assert metadata(world.repo, AMD64, "import-release.arch") == "amd64"
    images = json.loads(metadata(world.repo, AMD64, "import-release.images"))
    assert {name: one["pullspec"] for name, one in images.items()} == world.first.pullspecs
    assert images["etcd"]["source"] == "https://github.com/openshift/etcd"
    assert images["etcd"]["digest"] == world.first.images["etcd"].digest


def test_fetched_layers_are_counted_once(world: World) -> None:
    amounts = world.document["releases"][0]["layers"]
    layers = {blob.digest: blob for one in world.first.images.values() for blob in one.layers}
    assert amounts["fetched"] == {
        "layers": len(layers),
        "bytes": sum(blob.size for blob in layers.values()),
    }
    assert amounts["reused"] == {"layers": 0, "bytes": 0}
    assert amounts["no_longer_needed"] == {"layers": 0, "bytes": 0}
    assert amounts["new_in_ostree"]["bytes"] > 0


# --- the second nightly -------------------------------------------------------------------


def test_the_second_nightly_fetches_the_layers_of_what_changed(world: World, copied: Path) -> None:
    first = rev_parse(copied, AMD64)
    world.registry.requests()
    document = released(copied, *world.serve(world.second))
    asked = world.registry.blob_requests()
    new = world.second.layers("etcd", "pod") - world.first.layers()
    assert len(new) == 2
    assert sorted(set(asked) & world.second.layers()) == sorted(new)
    part = document["releases"][0]
    assert changes(document)["changed"] == ["etcd", "pod"]
    assert len(changes(document)["unchanged"]) == len(COMPONENTS) - 2
    assert part["layers"]["fetched"]["layers"] == 2
    assert part["layers"]["new_in_the_release"]["layers"] == 2
    assert part["layers"]["no_longer_needed"]["layers"] == 2
    assert part["layers"]["reused"]["layers"] == len(world.second.layers()) - 2
    assert part["parent"] == first
    assert history(copied, AMD64) == [part["commit"], first]
    fsck(copied)


def test_only_payload_manifests_and_what_changed_are_asked_for(world: World, copied: Path) -> None:
    arguments = world.serve(world.second)
    world.registry.requests()
    released(copied, *arguments)
    manifests = {
        one.path.rpartition("/")[2]
        for one in world.registry.requests()
        if "/art-dev/manifests/" in one.path
    }
    assert manifests == {world.second.images[name].digest for name in ("etcd", "pod")}


def test_the_source_commits_of_a_change_are_told(world: World, copied: Path) -> None:
    document = released(copied, *world.file(world.second, copied))
    etcd = document["releases"][0]["changes"]["changed"][0]
    old, new = (json.dumps(one.image_stream) for one in (world.first, world.second))
    assert etcd["from_commit"] in old
    assert etcd["from_commit"] not in new
    assert etcd["to_commit"] in new
    assert etcd["source"] == "https://github.com/openshift/etcd"


def test_the_same_nightly_again_moves_nothing(world: World, copied: Path) -> None:
    before = refs(copied), rev_parse(copied, AMD64)
    arguments = world.serve(world.first)
    world.registry.requests()
    outcome = run_release(copied, *arguments, "--unchanged-exit-77")
    assert outcome.status == 77, outcome.stderr
    assert outcome.stdout.split() == [before[1]]
    assert (refs(copied), rev_parse(copied, AMD64)) == before
    assert not set(world.registry.blob_requests()) & world.first.layers()


def test_a_new_name_for_the_same_images_is_nothing_new(world: World, copied: Path) -> None:
    renamed = world.nightlies.push(f"{STREAM}-renamed", changed=[])
    file = write(copied / "info.json", world.first.release_info() | {"metadata": {"version": "9"}})
    assert released(copied, file, f"--branch={AMD64}")["unchanged"] is True
    assert renamed.pullspecs == world.second.pullspecs


def test_a_parents_time_is_never_passed_backwards(world: World, copied: Path) -> None:
    arguments = [*world.file(world.second, copied), "--timestamp=2024-06-01T00:00:00Z"]
    released(copied, *arguments)
    released(copied, *world.file(world.first, copied))
    assert "2024-06-01" in ostree(copied, "show", AMD64)


def test_a_release_is_put_onto_an_operating_system(
    world: World, copied: Path, tmp_path: Path
) -> None:
    system = tmp_path / "system"
    (system / "usr").mkdir(parents=True)
    (system / "usr/kernel").write_text("6.18")
    stamp = ["--timestamp=2024-05-01T00:00:00Z", "--add-metadata-string=version=9.9"]
    ostree(copied, "commit", "--branch=os/base", *stamp, f"--tree=dir={system}")
    arguments = ["--onto=os/base", "--branch=os/with-images"]
    commits = []
    for nightly in (world.first, world.second):
        file = world.file(nightly, copied)[0]
        commits.append(released(copied, file, *arguments)["commit"])
    assert history(copied, "os/with-images") == list(reversed(commits))
    assert metadata(copied, "os/with-images", "version") == "9.9"
    assert metadata(copied, "os/with-images", "import-release.version") == world.second.name
    assert "/usr/kernel" in ostreerepo.ls(copied, "os/with-images", "/usr")
    ours = ostree(copied, "ls", "-RC", "os/with-images", STORE)
    released(copied, world.file(world.second, copied)[0], "--branch=alone")
    assert ours == ostree(copied, "ls", "-RC", "alone", STORE)
    file = world.file(world.second, copied)[0]
    assert released(copied, file, *arguments)["unchanged"] is True
    fsck(copied)


# --- --check and --diff -------------------------------------------------------------------


def test_check_tells_what_is_new_and_writes_nothing(world: World, copied: Path) -> None:
    before = refs(copied)
    arguments = world.serve(world.second)
    world.registry.requests()
    document = released(copied, *arguments, "--check")
    assert changes(document)["changed"] == ["etcd", "pod"]
    assert document["unchanged"] is False
    assert refs(copied) == before
    assert {one.path for one in world.registry.requests() if "art-dev" in one.path} == set()


def test_check_says_by_its_status_that_nothing_is_new(world: World, copied: Path) -> None:
    arguments = [*world.file(world.first, copied), "--check", "--quiet"]
    assert run_release(copied, *arguments).status == 0
    assert run_release(copied, *arguments, "--unchanged-exit-77").status == 77


def test_check_makes_no_repo(world: World, tmp_path: Path) -> None:
    document = released(tmp_path / "none", *world.serve(world.first), "--check")
    assert len(changes(document)["added"]) == len(COMPONENTS)
    assert not (tmp_path / "none").exists()


def test_diff_takes_branches_commits_and_files(world: World, copied: Path) -> None:
    first = rev_parse(copied, AMD64)
    released(copied, *world.file(world.second, copied))
    old = write(copied / "old.json", world.first.release_json())
    new = write(copied / "new.json", world.second.release_info())
    for pair in ((old, AMD64), (first, new), (first, AMD64)):
        document = released(copied, "--diff", *pair)
        assert changes(document)["changed"] == ["etcd", "pod"]
        assert (document["releases"][0]["layers"] is None) == (pair != (first, AMD64))
    layers = document["releases"][0]["layers"]
    assert layers["new"]["layers"] == layers["obsolete"]["layers"] == 2


def test_diff_of_files_needs_no_repo(world: World, tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", world.first.release_json())
    outcome = run_release(tmp_path / "none", "--diff", old, old, "--unchanged-exit-77")
    assert outcome.status == 77
    assert "0 changed, 0 added, 0 removed, 12 unchanged" in outcome.stdout
    assert not (tmp_path / "none").exists()


def test_diff_as_markdown_is_cut_where_the_user_says(world: World, copied: Path) -> None:
    outcome = run_release(copied, "--diff", AMD64, ARM64, "--markdown", "--max-chars=900")
    assert outcome.status == 0
    assert len(outcome.stdout) <= 900 + 1
    assert "more rows were left out." in outcome.stdout
    assert "| `cli` | changed | `" in outcome.stdout


def test_the_result_is_the_commit_and_the_report_goes_beside_it(world: World, copied: Path) -> None:
    outcome = run_release(copied, *world.file(world.second, copied))
    assert outcome.stdout == rev_parse(copied, AMD64) + "\n"
    assert "(amd64): 2 changed, 0 added, 0 removed, 10 unchanged" in outcome.stderr
    assert "  changed  etcd  " in outcome.stderr
    assert "  fetched: 2 layers, " in outcome.stderr


# --- sources ------------------------------------------------------------------------------


def test_all_sources_of_a_release_mean_the_same_commit(world: World, copied: Path) -> None:
    answer = accepted(world.first.name, world.first.pullspec)
    sources: dict[str, Argument] = {
        "payload": world.first.pullspec,
        "info": write(copied / "info.json", world.first.release_info()),
        "stream": write(copied / "image-references", world.first.image_stream),
        "answer": world.controller.serve("/some/answer", answer),
        "url": world.controller.serve(
            "/image-references", Reply(json.dumps(world.first.image_stream).encode())
        ),
    }
    commits = {
        name: released(copied, source, f"--branch=test/{name}")["commit"]
        for name, source in sources.items()
    }
    assert set(commits.values()) == {rev_parse(copied, AMD64)}


def test_a_microshift_file_and_a_list_mean_the_same_tree(world: World, copied: Path) -> None:
    file = write(copied / "release-x86_64.json", world.first.release_json())
    listed = copied / "list"
    listed.write_text("".join(f"{name} {one}\n" for name, one in world.first.pullspecs.items()))
    for source in (file, listed):
        document = released(copied, source, "--branch=test/tree", "--release=4.20.0")
        assert document["releases"][0]["layers"]["fetched"] == {"layers": 0, "bytes": 0}
        assert tree(copied, "test/tree") == tree(copied, AMD64)
    assert changes(document) == {
        "added": [],
        "changed": [],
        "removed": [],
        "unchanged": list(COMPONENTS),
    }


def test_sources_are_put_together(world: World, copied: Path) -> None:
    whole = world.first.release_json()
    names = list(whole["images"])
    parts = [
        write(copied / f"{n}.json", whole | {"images": {k: whole["images"][k] for k in chosen}})
        for n, chosen in enumerate((names[:5], names[4:]))
    ]
    released(copied, *parts, "--branch=test/parts")
    assert tree(copied, "test/parts") == tree(copied, AMD64)


def test_a_file_for_one_architecture_says_so_by_its_name(world: World, copied: Path) -> None:
    amd64 = write(copied / "release-x86_64.json", world.first.release_json())
    arm64 = write(copied / "release-aarch64.json", world.first_arm64.release_json())
    document = released(copied, amd64, arm64, "--branch=test/{arch}")
    assert [part["branch"] for part in document["releases"]] == ["test/amd64", "test/arm64"]
    assert tree(copied, "test/arm64") == tree(copied, ARM64)


def test_patterns_choose_what_is_imported(world: World, copied: Path) -> None:
    arguments = [*world.file(world.first, copied), "--only=c*", "--exclude=csi-*"]
    document = released(copied, *arguments)
    assert [one["component"] for one in document["releases"][0]["images"]] == ["cli", "coredns"]


def test_a_release_without_a_name_needs_one(world: World, copied: Path) -> None:
    listed = copied / "list"
    listed.write_text(f"{world.first.pullspecs['pod']}\n")
    assert failed(copied, listed).said("error") == ["no source names the release"]
    document = released(copied, listed, "--release=ours")
    assert (
        document["releases"][0]["branch"] == f"oci/release/ours/{document['releases'][0]['arch']}"
    )


def test_errors_name_the_source(world: World, copied: Path) -> None:
    bad = copied / "bad.json"
    bad.write_text("{")
    for source, error in {
        str(bad): f"{bad} is not JSON",
        str(copied / "no.json"): f"{copied / 'no.json'}: there is no such file",
        str(copied): f"{copied} cannot be read: Is a directory",
        f"arm64={world.first.pullspec}": f"{world.first.pullspec}: ",
    }.items():
        (said,) = failed(copied, source).said("error")
        assert said.startswith(error), said


def test_two_sources_that_disagree_are_refused(world: World, copied: Path) -> None:
    old = write(copied / "old.json", world.first.release_json())
    new = write(copied / "new.json", world.second.release_json())
    (said,) = failed(copied, old, new).said("error")
    assert said.startswith(f"component etcd is {world.first.pullspecs['etcd']} in {old}, and ")


def test_architectures_do_not_share_a_branch(world: World, copied: Path) -> None:
    arguments = [*world.serve(world.first), *world.serve(world.first_arm64), "--branch=test/one"]
    assert failed(copied, *arguments).said("error") == ["two architectures would go to one branch"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--locked=a", "--stream=b"],
        ["a.json", "--diff", "b", "c"],
        ["a.json", "--json", "--markdown"],
        ["a.json", "--max-chars=500"],
        ["a.json", "--check", "--lock=b"],
        ["a.json", "--lock=b", "--locked=c"],
        ["a.json", "--branch=.x"],
        ["a.json", "--keep=0"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    outcome = run_release(tmp_path / "none", *arguments)
    assert outcome.status == 2, outcome.stderr
    assert not (tmp_path / "none").exists()


# --- the payload image --------------------------------------------------------------------


def test_the_topmost_list_of_a_payload_counts(world: World, copied: Path) -> None:
    def listing(nightly: Nightly) -> Entry:
        content = json.dumps(nightly.image_stream).encode()
        return Entry(b"release-manifests/image-references", content=content)

    layers = [[listing(world.second)], [listing(world.first)], [Entry(b"above")]]
    built = build_oci(world.nightlies.directory, "odd", layers, architecture="amd64")
    pullspec = world.registry.push(built, "odd/release:top")
    world.registry.requests()
    released(copied, pullspec, "--branch=test/top")
    assert built.layer_digests[0] not in world.registry.blob_requests()
    assert tree(copied, "test/top") == tree(copied, AMD64)


def test_a_list_that_was_deleted_does_not_count(world: World, copied: Path) -> None:
    content = json.dumps(world.first.image_stream).encode()
    name = b"release-manifests/image-references"
    layers = [[Entry(name, content=content)], [whiteout(name)]]
    built = build_oci(world.nightlies.directory, "odd", layers, architecture="amd64")
    pullspec = world.registry.push(built, "odd/release:deleted")
    (said,) = failed(copied, pullspec, "--check").said("error")
    assert said == f"{pullspec}: the image has no {name.decode()}, so it is no release payload"


def test_a_payload_layer_that_is_not_what_it_should_be_is_not_believed(
    world: World, copied: Path
) -> None:
    with Registry() as registry:
        nightly = Nightlies(registry, copied / "layout").push("broken")
        registry.storage.corrupt(nightly.payload.layer_digests[-1])
        (said,) = failed(copied, nightly.pullspec, "--check").said("error")
    assert said.startswith(f"{nightly.pullspec}: {nightly.payload.layer_digests[-1]}: ")


# --- the release controller ---------------------------------------------------------------


def test_a_release_that_was_not_accepted_is_not_taken(world: World, copied: Path) -> None:
    arguments = world.serve(world.second)
    rejected = accepted(world.second.name, world.second.pullspec, "Rejected")
    world.controller.stream(STREAM, "amd64", rejected)
    (said,) = failed(copied, *arguments).said("error")
    assert said.endswith(f"no release is Accepted: {world.second.name} is Rejected")
    document = released(copied, *arguments, "--phase=Rejected", "--check")
    assert changes(document)["changed"] == ["etcd", "pod"]


def test_a_stream_that_does_not_exist_is_an_error(world: World, copied: Path) -> None:
    arguments = [f"--controller={world.controller.template}", "--stream=4.99", "--arch=amd64"]
    outcome = failed(copied, *arguments)
    assert outcome.said("error") == [
        f"{world.controller.url}/amd64/api/v1/releasestream/4.99/latest: 404 Not Found"
    ]
    assert outcome.said("hint") == ["is the stream's name right, for this architecture?"]


def lies(world: World) -> dict[str, tuple[Reply, str]]:
    """Answers that are not true, each with what is to be said of it."""
    other = world.second.payload.digest.replace("sha256:", "sha256:0")[:-1]
    repository = world.second.pullspec.rpartition(":")[0]
    pullspec = f"{world.second.pullspec}@{world.first.payload.digest}"
    return {
        "not-json": (Reply(b"{nothing"), "is not JSON"),
        "html": (Reply(b"<html>"), "is HTML or XML"),
        "empty": (Reply(b""), "is empty"),
        "huge": (Reply(b'{"name": "' + b"x" * (5 << 20)), "is longer than 4194304 bytes"),
        "file": (accepted("n", "dir:/etc"), "pullSpec: not an image reference: 'dir:/etc'"),
        "gone": (accepted("n", f"{repository}@{other}"), "manifest unknown"),
        "tag": (accepted("n", pullspec), f"the tag is at {world.second.payload.digest} now"),
        "name": (
            accepted("4.99", world.second.pullspec),
            f"calls the release 4.99, its payload {world.second.name}",
        ),
    }


@pytest.mark.parametrize(
    "lie", ["not-json", "html", "empty", "huge", "file", "gone", "tag", "name"]
)
def test_a_controller_that_lies_is_not_believed(world: World, copied: Path, lie: str) -> None:
    reply, error = lies(world)[lie]
    url = world.controller.serve(f"/lie/{lie}", reply)
    (said,) = failed(copied, url, "--arch=amd64").said("error")
    assert said.startswith((f"{url}: ", f"{url} "))
    assert error in said


# --- images that cannot be had ------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A release with three broken components, in a registry that can be repaired."""

    registry: Registry
    nightly: Nightly
    files: dict[Path, bytes]

    def repair(self) -> None:
        for path, content in self.files.items():
            path.write_bytes(content)


@pytest.fixture
def broken(private_registry: Registry, tmp_path: Path) -> Broken:
    nightly = Nightlies(private_registry, tmp_path / "layout").push("4.20.0-broken")
    storage, images = private_registry.storage, nightly.images
    digests = {
        "cli": images["cli"].digest,
        "etcd": images["etcd"].layer_digests[-1],
        "pod": images["pod"].layer_digests[1],
    }
    files = {storage.path(one): storage.path(one).read_bytes() for one in digests.values()}
    storage.delete(digests["cli"])
    storage.corrupt(digests["etcd"])
    storage.truncate(digests["pod"])
    return Broken(private_registry, nightly, files)


def test_every_image_that_failed_is_reported_and_the_rest_is_not_done_twice(
    broken: Broken, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    outcome = failed(repo, broken.nightly.pullspec)
    said = outcome.said("error")
    assert [line.partition(":")[0] for line in said[:-1]] == [
        "component cli",
        "component etcd",
        "component pod",
    ]
    assert "manifest unknown" in said[0]
    assert said[-1] == "3 of 12 images cannot be imported; no branch was moved"
    assert outcome.said("hint")[-1] == "--keep-going commits the others"
    assert [ref for ref in refs(repo) if ref.startswith("oci/release")] == []
    fsck(repo)

    outcome = run_release(repo, broken.nightly.pullspec, "--keep-going", "--json")
    assert outcome.status == 3, outcome.stderr
    (part,) = outcome.document["releases"]
    assert list(part["failed"]) == ["cli", "etcd", "pod"]
    assert all(one["error"] for one in part["failed"].values())
    assert len(part["images"]) == 9
    assert "9 added, 0 removed, 0 unchanged, 3 failed" in outcome.stderr
    fsck(repo)

    broken.repair()
    broken.registry.requests()
    document = released(repo, broken.nightly.pullspec)
    fetched = set(broken.registry.blob_requests()) & broken.nightly.layers()
    assert fetched <= broken.nightly.layers("cli", "etcd", "pod")
    assert changes(document)["added"] == ["cli", "etcd", "pod"]


@pytest.fixture
def shared(world: World, tmp_path: Path) -> tuple[str, str, str]:
    """Two images of one layer in two repositories, and the layer's digest."""
    layers = [[Entry(b"shared", content=b"shared\n" * 1000)]]
    built = build_oci(tmp_path / "layout", "shared", layers, architecture="amd64")
    names = [world.registry.push(built, f"shared/{name}") for name in "ab"]
    return names[0], names[1], built.layer_digests[0]


def test_what_breaks_off_is_tried_again(
    world: World, shared: tuple[str, str, str], tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    with FaultyProxy(world.registry.url) as proxy:
        listed.write_text(f"a {proxy.through(shared[0])}\n")
        arguments: list[Argument] = [listed, "--release=x", "--arch=amd64"]
        # skopeo itself goes on once where an answer broke off.
        proxy.faults.append(Fault(shared[2], "cut", after=10, times=2))
        outcome = run_release(tmp_path / "repo", *arguments, "--retry-times=1")
        assert outcome.status == 0, outcome.stderr
        assert "; trying again in 1 s" in outcome.stderr


def test_a_layer_comes_from_another_repository_if_one_is_broken(
    world: World, shared: tuple[str, str, str], tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    with FaultyProxy(world.registry.url) as proxy:
        listed.write_text(f"a {proxy.through(shared[0])}\nb {shared[1]}\n")
        proxy.faults.append(Fault(shared[2], "cut", after=10))
        outcome = run_release(tmp_path / "repo", listed, "--release=x", "--arch=amd64")
        assert outcome.status == 0, outcome.stderr
        assert "; another repository has it, too" in outcome.stderr
    assert image_store(tmp_path / "repo", "verify").status == 0


def test_a_registry_that_is_down_is_tried_again_and_then_told(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("a 127.0.0.1:1/a/b:1\nb 127.0.0.1:1/a/c:1\n")
    arguments: list[Argument] = [listed, "--release=x", "--retry-times=1", "--keep-going"]
    outcome = run_release(tmp_path / "repo", *arguments)
    assert outcome.status == 1
    assert outcome.said("error")[-1] == "2 of 2 images cannot be imported; no branch was moved"
    assert "connection refused" in outcome.said("error")[0]


# --- files --------------------------------------------------------------------------------


def test_release_files_are_rewritten_each_for_its_architecture(world: World, copied: Path) -> None:
    files = {"amd64": copied / "release-x86_64.json", "arm64": copied / "release-aarch64.json"}
    old = {"release": {"base": "4.19"}, "images": {"etcd": "x", "lvms_operator": "y"}}
    for file in files.values():
        write(file, old)
        file.chmod(0o640)
    arguments = [*world.serve(world.first), *world.serve(world.first_arm64)]
    updates = [f"--update-json={file}" for file in files.values()]
    document = released(copied, *arguments, *updates)
    assert document["updated_files"] == [str(file) for file in files.values()]
    assert document["unchanged"] is False
    for nightly in (world.first, world.first_arm64):
        file = files[nightly.arch]
        images = {"etcd": nightly.pullspecs["etcd"], "lvms_operator": "y"}
        expected = {"release": {"base": nightly.name}, "images": images}
        assert json.loads(file.read_text()) == expected
        assert file.read_text() == run(["jq", ".", file])
        assert file.stat().st_mode & 0o777 == 0o640
    inodes = [file.stat().st_ino for file in files.values()]
    again = released(copied, *arguments, *updates)
    assert (again["updated_files"], again["unchanged"]) == ([], True)
    assert [file.stat().st_ino for file in files.values()] == inodes


def test_a_file_that_cannot_be_rewritten_stops_the_import(world: World, copied: Path) -> None:
    before = rev_parse(copied, AMD64)
    file = write(copied / "other.json", {"images": {"unknown": "x"}})
    for option in (f"--update-json={file}", f"--lock={copied}/none/lock"):
        failed(copied, *world.file(world.second, copied), option)
        assert rev_parse(copied, AMD64) == before
    assert [one.name for one in copied.iterdir() if "import-release" in one.name] == []


@pytest.fixture
def tagged(world: World) -> list[str]:
    """Lines of a list: an index by tag, an image by tag, and one by digest."""
    directory = world.nightlies.directory
    images = [
        build_oci(directory, arch, [[Entry(arch.encode())]], architecture=arch)
        for arch in ("amd64", "arm64")
    ]
    index = world.registry.push(build_index(directory, "index", images), "tagged/index:v1")
    alone = world.registry.push(images[0], "tagged/alone:v1")
    return [f"index {index}\n", f"alone {alone}\n", f"pod {world.first.pullspecs['pod']}\n"]


def test_what_is_locked_is_imported_without_asking_for_anything_but_blobs(
    world: World, tagged: list[str], tmp_path: Path
) -> None:
    listed, lock = tmp_path / "list", tmp_path / "lock.json"
    listed.write_text("".join(tagged))
    document = released(tmp_path / "a", listed, "--release=r", "--arch=amd64", f"--lock={lock}")
    world.registry.requests()
    locked = released(tmp_path / "b", "--locked", lock)
    asked = [one.path for one in world.registry.requests() if one.path != "/v2/"]
    assert locked["commit"] == document["commit"]
    assert locked["branch"] == document["branch"]
    manifests = [path for path in asked if "/manifests/" in path]
    written = json.loads(lock.read_text())["releases"]["amd64"]["images"]
    pinned = {one["manifest"] for one in written.values()}
    assert {path.rpartition("/")[2] for path in manifests} <= pinned
    assert all("/blobs/" in path for path in set(asked) - set(manifests))

    again = released(tmp_path / "b", "--locked", lock)
    assert again["unchanged"] is True
    assert world.registry.requests() == []


def test_a_lock_stays_when_the_tag_moves(world: World, tagged: list[str], tmp_path: Path) -> None:
    listed, lock = tmp_path / "list", tmp_path / "lock.json"
    listed.write_text(tagged[1])
    arguments: list[Argument] = [listed, "--release=r", "--arch=amd64"]
    first = released(tmp_path / "a", *arguments, f"--lock={lock}")["commit"]
    moved = build_oci(world.nightlies.directory, "moved", [[Entry(b"new")]])
    world.registry.push(moved, "tagged/alone:v1")
    assert changes(released(tmp_path / "a", *arguments, "--check"))["changed"] == ["alone"]
    assert released(tmp_path / "a", "--locked", lock)["unchanged"] is True
    assert released(tmp_path / "a", *arguments)["releases"][0]["parent"] == first


def test_a_lock_is_the_same_each_time_and_holds_all_architectures(
    world: World, copied: Path
) -> None:
    locks = [copied / "lock-a.json", copied / "lock-b.json"]
    for lock in locks:
        arguments = [*world.serve(world.first), *world.serve(world.first_arm64)]
        released(copied, *arguments, f"--lock={lock}")
    assert locks[0].read_bytes() == locks[1].read_bytes()
    assert released(copied, "--locked", locks[0], "--check")["unchanged"] is True
    one = released(copied, "--locked", locks[0], "--arch=aarch64", "--only=pod", "--check")
    assert [part["branch"] for part in one["releases"]] == [ARM64]
    assert len(changes(one)["removed"]) == len(COMPONENTS) - 1


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"import-release-lock": 1', '"import-release-lock": 2', "is of another version"),
        ('\\"schemaVersion\\":2', '\\"schemaVersion\\": 2', "has digest"),
        ('"manifest": "sha256:', '"manifest": "sha256:0', "digest is not 64"),
        ("@sha256:", "@sha256:0000", "digest is not 64"),
        ('"images": {', '"images": 7, "x": {', "images is not of type dict"),
    ],
)
def test_a_lock_that_was_changed_is_refused(
    world: World, copied: Path, old: str, new: str, error: str
) -> None:
    lock = copied / "lock.json"
    released(copied, *world.file(world.first, copied), "--only=pod", f"--lock={lock}")
    text = lock.read_text()
    assert old in text
    lock.write_text(text.replace(old, new))
    assert error in failed(copied, "--locked", lock).said("error")[0]


# --- history ------------------------------------------------------------------------------


def test_older_releases_are_forgotten(world: World, copied: Path) -> None:
    commits = [rev_parse(copied, AMD64)]
    for nightly in (world.second, world.first, world.second):
        document = released(copied, *world.file(nightly, copied), "--keep=2")
        commits.append(document["commit"])
    assert history(copied, AMD64) == [commits[3], commits[2]]
    assert document["releases"][0]["dropped_commits"] == [commits[1]]
    fsck(copied)
    ostree(copied, "prune", "--refs-only")
    fsck(copied)
    assert rev_parse(copied, AMD64) == commits[3]


def test_a_release_that_another_branch_needs_is_kept(world: World, copied: Path) -> None:
    first = rev_parse(copied, AMD64)
    ostree(copied, "refs", "--create=stable", first)
    document = released(copied, *world.file(world.second, copied), "--keep=1")
    assert document["releases"][0]["dropped_commits"] == []
    assert history(copied, "stable") == [first]


def test_without_keep_all_releases_stay(world: World, copied: Path) -> None:
    released(copied, *world.file(world.second, copied))
    released(copied, *world.file(world.first, copied))
    assert len(history(copied, AMD64)) == 3


def test_the_first_release_is_the_same_commit_in_every_repo(world: World, tmp_path: Path) -> None:
    repo = ostreerepo.init(tmp_path / "archive", "archive")
    arguments = [*world.file(world.first, tmp_path), "--only=pod", "--only=etcd"]
    one = released(repo, *arguments)["commit"]
    assert one == released(tmp_path / "bare-user", *arguments)["commit"]
