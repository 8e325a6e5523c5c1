"""Nothing is lost of a branch: another program's commit, an operating system, a history."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.repo.values import Message
from importer.repo.writer import Repo
from layers.entry import Owner
from tests.tools.image import build_oci
from tests.tools.importimage import Outcome, imported, run_import, run_storage
from tests.tools.importrelease import released, run_release
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, ostree, rev_parse
from tests.tools.releaseworld import World, history
from tests.tools.storecommand import answered, image_store
from tests.tools.tarbuild import Entry
from tests.tools.treecommit import imported_tree

NOT_OURS = "branch os has a commit that no import of images made: "


@pytest.fixture
def references(layout: Path) -> dict[str, str]:
    """Images that share nothing, the second one older."""
    times = {"one": "2024-05-06T07:08:09Z", "two": "2023-05-06T07:08:09Z"}
    for name, created in times.items():
        build_oci(layout, name, [[Entry(name.encode(), content=name.encode())]], created=created)
    return {name: f"oci:{layout}:{name}" for name in times}


@pytest.fixture
def system(repo: Path, tmp_path: Path) -> str:
    """The commit of an operating system, on branch os."""
    return commit_os(repo, "os", os_tree(tmp_path / "root"))


def refused(outcome: Outcome, error: str, hint: str) -> None:
    assert (outcome.status, outcome.stdout) == (1, ""), outcome
    assert outcome.said("error")[0].startswith(error), outcome
    assert outcome.said("hint") == [f"{hint}; --replace-branch replaces it"]


@pytest.fixture
def commands(
    repo: Path, references: dict[str, str], world: World, tmp_path: Path
) -> dict[str, Callable[..., Outcome]]:
    """The commands that make a store's commit on branch os."""
    imported(tmp_path / "other", "--branch=all", references["one"])
    store = checkout(tmp_path / "other", "all", tmp_path / "tree") / "usr/lib/containers/storage"
    source, _ = world.file(world.first, tmp_path)
    return {
        "import-image": lambda *flags: run_import(
            repo, "--branch=os", *flags, references["one"]
        ),
        "import-storage": lambda *flags: run_storage(repo, "--branch=os", *flags, store),
        "import-release": lambda *flags: run_release(repo, "--branch=os", *flags, source),
    }  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("command", ["import-image", "import-storage", "import-release"])
def test_another_programs_commit_is_replaced_by_request_alone(
    repo: Path, system: str, commands: dict[str, Callable[..., Outcome]], command: str
) -> None:
    run = commands[command]
    for flags in ([], ["--dry-run"]):
        hint = "--onto=os with another --branch puts the images into it"
        refused(run("--quiet", *flags), NOT_OURS + system, hint)
        assert rev_parse(repo, "os") == system
    outcome = run("--replace-branch")
    assert outcome.status == 0, outcome
    assert rev_parse(repo, "os") != system
    assert answered(repo, "verify", "--quiet", "os")["ok"]


def test_a_form_and_an_operating_system_stay(
    repo: Path, system: str, references: dict[str, str]
) -> None:
    imported(repo, "--onto=os", "--branch=device", references["one"])
    error = "branch device has an operating system with images (--onto), and would have the images"
    hint = "--onto=device with another --branch puts the images into it"
    refused(run_import(repo, "--branch=device", references["one"]), error, hint)
    assert imported(repo, "--onto=os", "--branch=device", references["one"])["unchanged"]
    imported(repo, "--form=rootfs", "--branch=root", references["one"])
    outcome = run_import(repo, "--branch=root", references["one"])
    hint = "--onto=root with another --branch puts the images into it"
    refused(outcome, "branch root is of --form=rootfs, and would become one of --form=store", hint)
    outcome = run_import(repo, "--form=rootfs", "--branch=os", references["one"])
    refused(outcome, NOT_OURS + system, "another --branch leaves it")


def test_a_releases_history_goes_on_or_stays(
    world: World, tmp_path: Path, references: dict[str, str]
) -> None:
    """Where import-image made the branch, a release's first commit has that one as its parent."""
    repo, (source, _) = tmp_path / "new", world.file(world.first, tmp_path)
    first = imported(repo, "--branch=both", references["one"])["commit"]
    released(repo, "--branch=both", source)
    before = history(repo, "both")
    assert before[1:] == [first]
    outcome = run_import(repo, "--branch=both", references["one"])
    hint = "--onto=both with another --branch puts the images into it"
    refused(outcome, "branch both has the history of import-release, which would end", hint)
    assert history(repo, "both") == before


def test_the_history_of_another_program_is_not_forgotten(
    repo: Path, system: str, world: World, tmp_path: Path
) -> None:
    """--keep counts commits of import-release, and prune leaves the others."""
    source, _ = world.file(world.first, tmp_path)
    released(repo, "--branch=os", "--replace-branch", "--keep=1", source)
    assert history(repo, "os")[1:] == [system]


@pytest.mark.root
def test_a_tree_is_committed_after_what_the_branch_has(
    repo: Path, system: str, tmp_path: Path
) -> None:
    """Nothing is lost: the head is the parent."""
    imported_tree(repo, os_tree(tmp_path / "next", version="2"), branch="os")
    assert history(repo, "os")[1:] == [system]


@pytest.mark.root
def test_a_tree_is_never_older_than_its_parent(repo: Path, tmp_path: Path) -> None:
    """As where the clock goes back."""
    tree = os_tree(tmp_path / "next", version="2")
    commit_os(repo, "os", tree, stamp="--timestamp=2099-01-02T03:04:05Z")
    (tree / "usr/etc/hosts").write_text("new\n")
    imported_tree(repo, tree, branch="os")
    assert len(history(repo, "os")) == 2
    assert "2099-01-02 03:04:05" in ostree(repo, "show", "os")


def test_images_that_a_branch_loses_are_named(repo: Path, references: dict[str, str]) -> None:
    one, two = references.values()
    imported(repo, "--branch=apps", one)
    said = f"branch apps: +1 −1 images; no longer there: {one}\n"  # noqa: RUF001 - minus
    assert said in run_import(repo, "--branch=apps", "--dry-run", two).stdout
    outcome = run_import(repo, "--branch=apps", two)
    assert said in outcome.stderr
    assert "branch apps: +1 image\n" in run_import(repo, "--branch=apps", one, two).stderr
    again = run_import(repo, "--branch=apps", one, two, "--subject=other")
    assert "branch apps: a new commit of the same 2 images\n" in again.stderr


def test_a_commit_that_devices_refuse_is_told(repo: Path, references: dict[str, str]) -> None:
    one, two = references.values()
    imported(repo, "--branch=apps", one)
    said = run_import(repo, "--branch=apps", two).stderr
    assert "apps: the new commit is of 2023-05-06T07:08:09Z, the last one of 2024-05-06T07" in said
    assert "refuse it" not in run_import(repo, "--branch=apps", one).stderr


# --- a branch that moves during an import ---


def test_a_branch_that_another_process_has_moved_stays(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    ours, theirs = Repo.open(path, create=True), Repo.open(path)
    commits = [_commit(ours, name) for name in ("first", "second", "third")]
    with theirs.transaction():
        theirs.move_branch("os", None, commits[0])
    for head, new in ((None, commits[1]), (commits[2], commits[1])):
        with pytest.raises(ImporterError, match="branch os was committed to meanwhile"):
            _move(ours, head, new)
        assert ours.refs() == {"os": commits[0]}
    with ours.transaction():
        ours.move_branch("os", None, commits[0])  # the same commit, made twice
    with ours.transaction():
        ours.move_branch("os", commits[0], commits[1])
    assert ours.refs() == {"os": commits[1]}


def _move(repo: Repo, head: str | None, new: str) -> None:
    """Move the branch, and set another ref in the same transaction."""
    with repo.transaction():
        repo.set_ref("beside", new)
        repo.move_branch("os", head, new)


def _commit(repo: Repo, name: str) -> str:
    with repo.transaction():
        tree = repo.tree(Owner(0o755, 0, 0))
        tree.write()
    with repo.transaction():
        return repo.write_commit(tree, Message(name, 0))


# --- prune and remove ---


def test_prune_leaves_the_commits_of_other_programs(
    repo: Path, system: str, references: dict[str, str]
) -> None:
    """An operating system whose branch is gone, and whose files no branch needs."""
    one, two = references.values()
    old = imported(repo, "--branch=apps", one)["commit"]
    imported(repo, "--branch=apps", two)
    ostree(repo, "refs", "--delete", "os")
    dry = answered(repo, "prune", "--dry-run", "--quiet")
    assert (dry["other_commits"], len(dry["layers"])) == (1, 1)
    assert answered(repo, "prune", "--quiet") == dry | {"dry_run": False}
    assert "usr/etc/hosts" in ostree(repo, "ls", "--recursive", system)
    assert not list((repo / "objects").glob(f"{old[:2]}/{old[2:]}.commit"))
    fsck(repo)
    assert "`ostree prune --refs-only` deletes them" in image_store(repo, "prune").stdout
    ostree(repo, "prune", "--refs-only")
    assert answered(repo, "prune", "--quiet")["other_commits"] == 0


def test_prune_forgets_what_keep_says(repo: Path, system: str, tmp_path: Path) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "next", version="2"))
    done = answered(repo, "prune", "--keep=1", "--quiet")
    assert (done["other_commits"], done["pruned_objects"] > 0) == (0, True)
    assert not list((repo / "objects").glob(f"{system[:2]}/{system[2:]}.commit"))


def test_remove_keeps_another_programs_commit(
    repo: Path, references: dict[str, str], tmp_path: Path
) -> None:
    """A branch named as if an import had made it for an image."""
    imported(repo, "--branch=apps", references["one"])
    branch = "oci/image/theirs"
    theirs = ostree(repo, "commit", f"--branch={branch}", "--tree=ref=apps", "--timestamp=@1")
    (image,) = json.loads(image_store(repo, "list", "--json", branch).stdout)["images"]
    answered(repo, "remove", f"--branch={branch}", image["image_id"])
    assert history(repo, branch)[1:] == [theirs.strip()]
