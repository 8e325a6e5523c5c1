"""--dry-run, --diff, and the report: what is new is told, and nothing written."""

import json
from pathlib import Path

import pytest

from tests.tools.importimage import imported
from tests.tools.importrelease import changes, failed, released, run_release
from tests.tools.nightly import COMPONENTS
from tests.tools.ostreerepo import ostree, refs, rev_parse
from tests.tools.process import Argument
from tests.tools.releaseworld import AMD64, ARM64, World, metadata, write

#: What a release's commit has said of itself from the first version on.
COMMON_KEYS = (
    "import-image.form",
    "import-image.prefix",
    "import-release.arch",
    "import-release.images",
    "import-release.name",
    "import-release.version",
)


def test_dry_run_tells_what_is_new_and_writes_nothing(world: World, copied: Path) -> None:
    before = refs(copied)
    arguments = world.serve(world.second)
    document = released(copied, *arguments, "--dry-run")
    assert changes(document)["changed"] == ["etcd", "pod"]
    assert document["unchanged"] is False
    assert refs(copied) == before


def test_dry_run_says_by_its_status_that_nothing_is_new(world: World, copied: Path) -> None:
    arguments = [*world.file(world.first, copied), "--dry-run", "--quiet"]
    assert run_release(copied, *arguments).status == 0
    assert run_release(copied, *arguments, "--unchanged-exit-77").status == 77


def test_dry_run_tells_that_the_operating_system_is_new(
    world: World, copied: Path, tmp_path: Path
) -> None:
    def commit_system(kernel: str) -> None:
        (tmp_path / "usr").mkdir(exist_ok=True)
        (tmp_path / "usr/kernel").write_text(kernel)
        ostree(copied, "commit", "--branch=os/base", f"--tree=dir={tmp_path}")

    commit_system("6.17")
    onto = [world.file(world.first, copied)[0], "--onto=os/base", "--branch=os/with-images"]
    released(copied, *onto)
    assert released(copied, *onto, "--dry-run")["unchanged"] is True
    commit_system("6.18")
    document = released(copied, *onto, "--dry-run")
    assert (document["unchanged"], document["releases"][0]["new_base"]) == (False, True)
    outcome = run_release(copied, *onto, "--dry-run", "--unchanged-exit-77")
    assert outcome.status == 0
    assert "12 unchanged, another operating system" in outcome.stdout
    (said,) = failed(copied, onto[0], "--onto=none", "--branch=x", "--dry-run").said("error")
    assert said == "the repo has no branch none"


@pytest.fixture
def small(world: World, tmp_path: Path) -> list[str]:
    """A release of two components, for a branch of its own."""
    return [world.file(world.first, tmp_path)[0], "--only=pod", "--only=etcd", "--branch=small"]


@pytest.mark.parametrize(
    "option",
    [
        "--flatten",
        "--prefix=/usr/share/containers/storage",
        "--storage-conf",
        "--selinux-label=system_u:object_r:container_ro_file_t:s0",
    ],
)
def test_dry_run_tells_of_options_that_would_make_another_commit(
    small: list[str], tmp_path: Path, option: str
) -> None:
    """As the next run then makes it; with and without the option, there and back."""
    repo = tmp_path / "repo"
    released(repo, *small)
    made = {rev_parse(repo, "small")}
    for options in ([option], []):
        arguments = [*small, *options]
        document = released(repo, *arguments, "--dry-run")
        assert document["unchanged"] is False
        assert document["releases"][0]["new_options"] == [option.partition("=")[0]]
        assert changes(document)["changed"] == []
        outcome = run_release(repo, *arguments, "--dry-run", "--unchanged-exit-77")
        assert outcome.status == 0
        assert f"2 unchanged, other values of {option.partition('=')[0]}\n" in outcome.stdout
        assert released(repo, *arguments)["unchanged"] is False
        made.add(rev_parse(repo, "small"))
        assert released(repo, *arguments, "--dry-run")["unchanged"] is True
        assert released(repo, *arguments)["unchanged"] is True
    assert len(made) == 3


def test_what_an_older_version_did_not_say_is_not_new(small: list[str], tmp_path: Path) -> None:
    """Nor a new commit, which would have the same tree; what it did say is compared. Older
    versions knew standard layer ids alone."""
    repo = tmp_path / "repo"
    released(repo, *small, "--storage-conf", "--layer-ids=standard")
    old = [
        f"--add-metadata-string={key}={metadata(repo, 'small', key)}"
        for key in ("version", *COMMON_KEYS)
    ]
    ostree(repo, "commit", "--branch=small", "--tree=ref=small", *old)
    for options, new in (
        (["--storage-conf"], []),
        (["--storage-conf", "--flatten"], ["--flatten"]),
    ):
        document = released(repo, *small, *options, "--dry-run")
        assert document["releases"][0]["new_options"] == new
    assert released(repo, *small, "--storage-conf")["unchanged"] is True


def test_dry_run_tells_that_a_branch_has_no_release_yet(world: World, tmp_path: Path) -> None:
    """The next run makes one, though import-image has put the very images there."""
    image = world.first.pullspecs["pod"]
    listed = tmp_path / "list"
    listed.write_text(f"{image}\n")
    imported(tmp_path / "repo", "--branch=x", image)
    arguments: list[Argument] = [listed, "--release=x", "--arch=amd64", "--branch=x"]
    document = released(tmp_path / "repo", *arguments, "--dry-run")
    assert len(changes(document)["unchanged"]) == 1
    assert (document["unchanged"], document["releases"][0]["first_release"]) == (False, True)
    assert released(tmp_path / "repo", *arguments)["unchanged"] is False
    assert released(tmp_path / "repo", *arguments, "--dry-run")["unchanged"] is True


def test_a_release_of_the_images_that_import_image_put_there_adds_none(
    world: World, tmp_path: Path
) -> None:
    """Their digests tell which components they are. A tag of the same digest is no other image."""
    repo, branch = tmp_path / "repo", "--branch=x"
    pullspecs = {name: world.first.pullspecs[name] for name in ("pod", "etcd", "cli")}
    imported(repo, branch, pullspecs["pod"], f"q.io/other/etcd:1={pullspecs['etcd']}")
    source = write(tmp_path / "r.json", world.first.release_info())
    arguments: list[Argument] = [source, branch, *(f"--only={name}" for name in pullspecs)]
    for diff in (
        released(repo, *arguments, "--dry-run"),
        released(repo, "--diff", "x", source),
        released(repo, *arguments),
    ):
        told = changes(diff)
        assert told["unchanged"] == ["etcd", "pod"]
        assert (told["changed"], told["removed"]) == ([], [])
        assert "cli" in told["added"]
    back = changes(released(repo, "--diff", source, "x^"))
    assert (back["added"], back["unchanged"]) == ([], ["etcd", "pod"])


def test_dry_run_makes_no_repo(world: World, tmp_path: Path) -> None:
    document = released(tmp_path / "none", *world.serve(world.first), "--dry-run")
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


def test_diff_takes_a_commits_parents(world: World, copied: Path) -> None:
    first = rev_parse(copied, AMD64)
    second = released(copied, *world.file(world.second, copied))["commit"]
    for old in (f"{AMD64}^", f"{second}^"):
        assert changes(released(copied, "--diff", old, AMD64))["changed"] == ["etcd", "pod"]
    assert failed(copied, "--diff", f"{AMD64}^^", AMD64).said("error") == [
        f"{AMD64}^^: the repo has no parent of {first}"
    ]


def test_diff_takes_a_branch_that_was_pulled(world: World, copied: Path) -> None:
    ostree(copied, "refs", f"--create=pulled:{AMD64}", AMD64)
    released(copied, *world.file(world.second, copied))
    assert changes(released(copied, "--diff", f"pulled:{AMD64}", AMD64))["changed"] == [
        "etcd",
        "pod",
    ]


def test_diff_with_what_there_is_not_is_an_error(copied: Path) -> None:
    for unknown in ("nothing/there", "nothing/there^", "nothing:there^"):
        outcome = failed(copied, "--diff", unknown, AMD64)
        assert outcome.said("error")[0].startswith(f"{unknown}: there is no such branch or file")
        assert outcome.said("hint") == ["branches and commits are those of --repo"]


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


def test_the_report_is_json_in_a_log_that_is(world: World, copied: Path) -> None:
    outcome = run_release(copied, *world.file(world.second, copied), "--log-json")
    said = [json.loads(line)["message"] for line in outcome.stderr.splitlines()]
    assert any("2 changed, 0 added, 0 removed, 10 unchanged" in line for line in said)
