"""`image-store remove` and `prune`: what goes, what stays, and what runs beside them."""

import subprocess
import time
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.imagestore.remove import remove_images
from importer.repo.writer import Repo
from importer.store.find import find_stores
from tests.tools import ostreerepo, patience
from tests.tools.expected import layer_ids
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, Compression, build_oci
from tests.tools.importimage import Run, imported, run_import
from tests.tools.ostreerepo import fsck, ls, ostree, refs, rev_parse
from tests.tools.registry import Registry
from tests.tools.releaseworld import history
from tests.tools.storecommand import SCRIPT, answered, image_store
from tests.tools.tarbuild import Entry, whiteout

BASE = [Entry(b"base", content=b"b" * 5000), Entry(b"gone", content=b"g" * 300)]
ONE = [Entry(b"one", content=b"1" * 2000), whiteout(b"gone")]
TWO = [Entry(b"two", content=b"2" * 70000)]


@pytest.fixture
def images(registry: Registry, layout: Path) -> dict[str, tuple[BuiltImage, str]]:
    """Two images on one base, the base packed in two ways, and a third that shares nothing."""
    built = {
        "one": build_oci(layout, "one", [BASE, ONE], compression=["gzip", "gzip"]),
        "two": build_oci(layout, "two", [BASE, TWO], created="2024-07-07T07:07:07Z",
                         compression=["zstd", "gzip"]),
        "lone": build_oci(layout, "lone", [TWO]),
    }  # fmt: skip
    return {name: (image, registry.push(image, f"prune/{name}:t")) for name, image in built.items()}


def layer_refs(repo: Path) -> set[str]:
    """The ids of the layers that have branches; each has its record's branch as well."""
    trees = {ref.rpartition("/")[2] for ref in refs(repo) if ref.startswith("oci/layer/")}
    records = {ref.rpartition("/")[2] for ref in refs(repo) if ref.startswith("oci/tar-split/")}
    assert trees == records
    return trees


# --- remove ---


@pytest.mark.parametrize(
    ("gone", "options"),
    [
        ("one", []),
        ("two", []),
        ("lone", []),
        ("one", ["--flatten"]),
        ("two", ["--selinux-label=a_u:b_r:c_t:s0"]),
    ],
)
def test_what_remains_is_what_an_import_of_it_gives(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path, gone: str, options: list[str]
) -> None:
    repo, other = tmp_path / "repo", tmp_path / "other"
    everything = [reference for _, reference in images.values()]
    rest = [reference for name, (_, reference) in images.items() if name != gone]
    imported(repo, "--branch=all", *options, *everything)
    expected = imported(other, "--branch=all", *options, *rest)["commit"]
    document = answered(repo, "remove", images[gone][1])
    image, name = images[gone]
    removed = {
        "image_id": image.image_id,
        "names": [name],
        "components": [],
        "digest": image.digest,
    }
    change = {"branch": "all", "commit": expected, "removed": [removed], "removed_artifacts": []}
    assert document == {"branches": [change]}
    assert rev_parse(repo, "all") == expected
    assert answered(repo, "verify", "--quiet", "all")["ok"]
    fsck(repo)


def test_an_image_that_is_packed_in_two_ways_goes_as_one_and_stays_as_one(
    registry: Registry, images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    """It has one config and two manifests; another image has a layer of it in one of them."""
    packings: tuple[Compression, ...] = ("gzip", "zstd")
    built = [build_oci(tmp_path / "l", kind, [BASE], compression=kind) for kind in packings]
    names = [registry.push(one, "prune/packed") for one in built]
    repo, other = tmp_path / "repo", tmp_path / "other"
    for gone, rest in ((names[0], [images["one"][1]]), (images["one"][1], names)):
        imported(repo, "--branch=all", *names, images["one"][1])
        expected = imported(other, "--branch=all", *rest)["commit"]
        answered(repo, "remove", gone)
        assert rev_parse(repo, "all") == expected


def test_what_the_user_said_of_the_commit_stays(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo, other = tmp_path / "repo", tmp_path / "other"
    own = ["--branch=all", "--subject=mine", "--timestamp=@77"]
    imported(repo, *own, images["one"][1], images["two"][1])
    expected = imported(other, *own, images["two"][1])["commit"]
    assert image_store(repo, "remove", "prune/one:t").stdout == f"{expected}\n"


def test_an_os_commit_keeps_all_but_the_image(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/init").write_text("init\n")
    meta = "--add-metadata-string=version=1.2"
    ostree(repo, "commit", "--branch=os", meta, f"--tree=dir={tree}", "--timestamp=@5")
    imported(repo, "--onto=os", "--branch=images", images["one"][1], images["two"][1])
    wanted = imported(repo, "--onto=os", "--branch=other", images["two"][1])["commit"]
    answered(repo, "remove", "--branch=images", images["one"][1])
    assert ls(repo, "images") == ls(repo, wanted)
    assert "/usr/bin/init" in ls(repo, "images")
    assert ostree(repo, "show", "--print-metadata-key=version", "images").strip() == "'1.2'"


def test_a_history_goes_on(images: dict[str, tuple[BuiltImage, str]], tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=all", images["one"][1], images["two"][1])
    for subject in ("first", "second"):
        ostree(repo, "commit", "--branch=line", "--tree=ref=all", f"--subject={subject}")
    before = history(repo, "line")
    answered(repo, "remove", "--branch=line", images["two"][1])
    assert history(repo, "line")[1:] == before
    (image,) = answered(repo, "list", "line")["images"]
    assert image["names"] == [images["one"][1]]


def test_the_last_image_of_its_own_branch_takes_the_branch_with_it(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    branch = imported(repo, images["lone"][1])["branch"]
    imported(repo, "--branch=mine", images["lone"][1])
    outcome = image_store(repo, "remove", f"--branch={branch}", images["lone"][1])
    assert (outcome.stdout, outcome.stderr) == ("", f"branch {branch}: deleted\n")
    assert branch not in refs(repo)
    document = answered(repo, "remove", images["lone"][1])
    assert [one["branch"] for one in document["branches"]] == ["mine"]
    assert answered(repo, "list")["images"] == []
    assert answered(repo, "verify", "--quiet")["ok"]


@pytest.mark.parametrize("branch", ["images", "oci/image/own"])
def test_what_was_committed_meanwhile_is_not_undone(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path, branch: str
) -> None:
    path = tmp_path / "repo"
    imported(path, f"--branch={branch}", images["lone"][1])
    repo = Repo.open(path)
    seen = find_stores(repo, (), None)
    newer = imported(path, f"--branch={branch}", images["lone"][1], images["one"][1])["commit"]
    with pytest.raises(ImporterError, match=f"branch {branch} was committed to meanwhile"):
        remove_images(repo, seen, [images["lone"][1]], (), everywhere=False)
    assert rev_parse(path, branch) == newer


def test_an_image_in_several_branches_is_not_removed_by_accident(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    for branch in ("first", "second"):
        imported(repo, f"--branch={branch}", images["one"][1], images["two"][1])
    before = [rev_parse(repo, branch) for branch in ("first", "second")]
    outcome = image_store(repo, "remove", images["one"][1])
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.splitlines() == [
        "error: 2 branches have it: first, second",
        "hint: name with --branch each branch to remove it from",
    ]
    assert image_store(repo, "remove", images["one"][1], "example.com/no:t").status == 1
    commit = image_store(repo, "remove", f"--branch={before[0]}", images["one"][1])
    assert f"no branch {before[0]} of its own\nhint: commits and remotes'" in commit.stderr
    assert [rev_parse(repo, branch) for branch in ("first", "second")] == before
    document = answered(repo, "remove", "--branch=first", "--branch=second", images["one"][1])
    assert [one["branch"] for one in document["branches"]] == ["first", "second"]


# --- prune ---


def test_prune_deletes_what_only_a_removed_image_had(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=all", *(reference for _, reference in images.values()))
    imported(repo, images["lone"][1])
    all_layers = layer_refs(repo)
    assert answered(repo, "prune", "--quiet")["layers"] == []
    answered(repo, "remove", "--branch=all", images["one"][1], images["lone"][1])
    two, lone = layer_ids(images["two"][0].diff_ids), layer_ids(images["lone"][0].diff_ids)
    gone = sorted(all_layers - {*two, *lone})
    assert len(gone) == 1

    before = _objects(repo)
    dry = answered(repo, "prune", "--dry-run", "--quiet")
    assert dry["layers"] == gone
    assert _objects(repo) == before
    assert layer_refs(repo) == all_layers
    done = answered(repo, "prune", "--quiet")
    assert done == dry | {"dry_run": False}
    after = _objects(repo)
    assert done["objects"] == len(before)
    assert done["pruned_objects"] == len(before) - len(after)
    assert done["freed_bytes"] == sum(before.values()) - sum(after.values())
    assert layer_refs(repo) == {*two, *lone}
    fsck(repo)
    assert answered(repo, "verify", "--quiet")["ok"]
    again = imported(repo, "--branch=all", images["two"][1])
    assert again["unchanged"]


def _objects(repo: Path) -> dict[str, int]:
    kinds = {".file", ".filez", ".dirtree", ".dirmeta", ".commit"}
    found = (path for path in (repo / "objects").glob("*/*") if path.suffix in kinds)
    return {str(path): path.lstat().st_size for path in found}


def test_a_ref_that_a_killed_process_left_half_named_is_in_nobodys_way(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    """As libostree leaves one that is killed between writing a ref's file and renaming it."""
    repo, reference = tmp_path / "repo", images["one"][1]
    before = imported(repo, "--branch=all", reference)
    for cache in ("layer", "tar-split"):
        layer_id = layer_ids(images["one"][0].diff_ids)[0]
        ostree(repo, "refs", f"oci/{cache}/{layer_id}", f"--create=oci/{cache}/tmp.a1B2c3")
    again = imported(repo, "--branch=all", reference)
    assert (again["commit"], again["unchanged"]) == (before["commit"], True)
    assert answered(repo, "verify", "--quiet", "all")["ok"]
    pruned = answered(repo, "prune")["branches"]
    assert sorted(pruned) == ["oci/layer/tmp.a1B2c3", "oci/tar-split/tmp.a1B2c3"]
    assert layer_refs(repo) == set(layer_ids(images["one"][0].diff_ids))
    fsck(repo)


@pytest.mark.parametrize("option", ["--flatten", "--selinux-label=a_u:b_r:c_t:s0"])
def test_prune_knows_flattened_and_labelled_layers(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path, option: str
) -> None:
    repo = tmp_path / "repo"
    wanted = ["--branch=all", option, images["one"][1], images["lone"][1]]
    commit = imported(repo, *wanted)["commit"]
    answered(repo, "prune", "--quiet")
    assert answered(repo, "verify", "--quiet")["ok"]
    assert imported(repo, *wanted)["commit"] == commit
    answered(repo, "prune", "--quiet")
    kinds = {ref.split("/")[1] for ref in refs(repo) if ref.startswith("oci/")}
    assert kinds == {"layer", "tar-split", "flattened" if "flat" in option else "labelled"}
    answered(repo, "remove", images["one"][1], images["lone"][1])
    answered(repo, "prune", "--quiet")
    assert refs(repo) == ["all"]
    fsck(repo)


@pytest.mark.parametrize(("keep", "left"), [(None, 3), (2, 2), (1, 1)])
def test_prune_keeps_as_many_commits_as_it_is_told(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path, keep: int | None, left: int
) -> None:
    repo = tmp_path / "repo"
    for name in ("one", "two", "lone"):
        commit = imported(repo, f"--branch=store-{name}", images[name][1])["commit"]
        ostree(repo, "commit", "--branch=line", f"--tree=ref={commit}", "--timestamp=@1")
        ostree(repo, "refs", "--delete", f"store-{name}")
    options = [f"--keep={keep}"] if keep else []
    answered(repo, "prune", "--quiet", *options)
    assert len(answered(repo, "history", "line")["commits"]) == left
    names = ["lone", "two", "one"][:left]
    assert layer_refs(repo) == {i for n in names for i in layer_ids(images[n][0].diff_ids)}
    fsck(repo)


def test_prune_waits_for_an_import_that_is_under_way(
    registry: Registry, images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    """The first layer's branches are there, and no store needs them yet."""
    repo = ostreerepo.init(tmp_path / "repo")
    built, reference = images["two"]
    base, upper = layer_ids(built.diff_ids)
    with FaultyProxy(registry.url) as proxy:
        stall = Fault(built.layer_digests[1], "stall")
        proxy.faults.append(stall)
        running = Run(repo, proxy.through(reference))
        assert stall.reached.wait(patience.SECONDS)
        await_refs(repo, f"oci/layer/{base}", f"oci/tar-split/{base}")
        pruning = subprocess.Popen(
            [SCRIPT, "prune", f"--repo={repo}", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert pruning.stderr is not None
        assert b"waiting" in pruning.stderr.readline()
        time.sleep(0.5)  # long enough for a prune that does not wait
        assert pruning.poll() is None
        assert layer_refs(repo) == {base}
        stall.go_on.set()
        assert running.finish().status == 0
        output, errors = pruning.communicate(timeout=patience.SECONDS)
    assert pruning.returncode == 0, errors
    assert b'"layers": []' in output
    assert layer_refs(repo) == {base, upper}
    assert answered(repo, "verify", "--quiet")["ok"]


def await_refs(repo: Path, *names: str) -> None:
    """Until all of them are there: they come one after the other."""
    deadline = time.monotonic() + patience.SECONDS
    while not set(names) <= set(refs(repo)) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_prune_gives_up_when_the_repos_timeout_is_over(
    registry: Registry, images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    ostree(repo, "config", "set", "core.lock-timeout-secs", "1")
    with FaultyProxy(registry.url) as proxy:
        stall = Fault(images["lone"][0].layer_digests[0], "stall")
        proxy.faults.append(stall)
        running = Run(repo, proxy.through(images["lone"][1]))
        assert stall.reached.wait(patience.SECONDS)
        outcome = image_store(repo, "prune", "--quiet")
        stall.go_on.set()
        assert running.finish().status == 0
    assert outcome.status == 1
    error, hint = outcome.stderr.splitlines()
    assert error.startswith(f"error: locking repo {repo} exclusively: ")
    assert hint == "hint: an import or another program uses the repo; try again when it is done"


def test_prune_of_a_repo_with_other_branches_leaves_them(
    images: dict[str, tuple[BuiltImage, str]], tmp_path: Path
) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    ostreerepo.commit(repo, "os/x86_64", tmp_path / "tree")
    run_import(repo, "--form=layers", images["lone"][1])
    document = answered(repo, "prune", "--quiet")
    assert document["layers"] == layer_ids(images["lone"][0].diff_ids)
    assert refs(repo) == ["os/x86_64"]
    fsck(repo)
