"""The nightly job, against a registry with release payloads and a release controller."""

import json
from pathlib import Path

from tests.tools import ostreerepo
from tests.tools.importrelease import changes, failed, released, run_release
from tests.tools.nightly import COMPONENTS
from tests.tools.ostreerepo import fsck, ostree, refs, rev_parse
from tests.tools.releaseworld import (
    AMD64,
    ARM64,
    STORE,
    STREAM,
    World,
    history,
    metadata,
    write,
)
from tests.tools.store import store_images
from tests.tools.storecommand import answered, image_store

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
    assert part["device"] == answered(copied, "diff", first, AMD64)["fetch"]
    assert part["device"]["objects"] > 2
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
    between = f"{etcd['from_commit']}...{etcd['to_commit']}"
    assert etcd["compare"] == f"https://github.com/openshift/etcd/compare/{between}"


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
    named, renamed = (world.nightlies.push(f"{STREAM}-{name}") for name in ("named", "renamed"))
    file = write(copied / "info.json", world.first.release_info() | {"metadata": {"version": "9"}})
    assert released(copied, file, f"--branch={AMD64}")["unchanged"] is True
    assert renamed.pullspecs == named.pullspecs


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


# --- history ------------------------------------------------------------------------------


def test_each_architecture_has_an_operating_system_of_its_own(world: World, copied: Path) -> None:
    for arch in ("amd64", "arm64"):
        system = copied / arch
        (system / "usr").mkdir(parents=True)
        (system / "usr/arch").write_text(arch)
        ostree(copied, "commit", f"--branch=os/{arch}", f"--tree=dir={system}")
    both = [*world.serve(world.first), *world.serve(world.first_arm64), "--branch=with/{arch}"]
    released(copied, *both, "--onto=os/{arch}")
    for arch in ("amd64", "arm64"):
        assert ostree(copied, "cat", f"with/{arch}", "/usr/arch") == arch
        assert metadata(copied, f"with/{arch}", "import-release.arch") == arch
    for onto, error in {
        "os/amd64": "two architectures would go into one operating system",
        "none/{arch}": "the repo has no branch none/amd64",
    }.items():
        assert failed(copied, *both, f"--onto={onto}").said("error") == [error]
    into_itself = [*world.serve(world.first), "--onto=os/amd64", "--branch=os/{arch}"]
    assert failed(copied, *into_itself).said("error") == [
        "os/amd64 would be both --onto and --branch"
    ]


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


# --- what image-store says of it ----------------------------------------------------------


def test_components_are_named_and_paired(world: World, copied: Path, tmp_path: Path) -> None:
    """All images may be of one repository, which tells nothing of any."""
    released(copied, *world.file(world.second, copied))
    etcd = answered(copied, "show", world.second.pullspecs["etcd"])
    assert answered(copied, "show", "etcd", f"--branch={AMD64}") == etcd
    assert etcd["components"] == ["etcd"]
    found = answered(copied, "diff", f"{AMD64}^", AMD64)["images"]
    assert (found["added"], found["removed"]) == ([], [])
    assert [one["to"]["components"] for one in found["changed"]] == [["etcd"], ["pod"]]
    assert [one["from"]["components"] for one in found["changed"]] == [["etcd"], ["pod"]]
    assert f"  ~ etcd  {world.second.pullspecs['etcd']}\n" in image_store(
        copied, "history", AMD64
    ).stdout  # fmt: skip
    shown = image_store(copied, "show", f"--branch={AMD64}", world.second.pullspecs["pod"]).stdout
    assert "component: pod\n" in shown
    assert image_store(copied, "report", AMD64, "-o", tmp_path / "r.html").status == 0
    page = (tmp_path / "r.html").read_text()
    assert f'<th role="rowheader" scope="row">etcd<small>{world.second.pullspecs["etcd"]}' in page


# --- removing an image --------------------------------------------------------------------


def test_a_release_goes_on_without_the_component(world: World, tmp_path: Path) -> None:
    """As import-release would go on, whose commits have parents and know their components."""
    repo, other = world.copy(tmp_path / "one"), world.copy(tmp_path / "other")
    released(other, *world.file(world.first, tmp_path), "--exclude=etcd")
    assert rev_parse(other, f"{AMD64}^") == rev_parse(repo, AMD64)
    answered(repo, "remove", f"--branch={AMD64}", world.first.pullspecs["etcd"])
    assert rev_parse(repo, AMD64) == rev_parse(other, AMD64)
