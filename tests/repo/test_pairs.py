"""Two commands at once in one repo: both end, and no branch loses what one of them has returned."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests.tools import tried
from tests.tools.command import finished, start
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.importrelease import released
from tests.tools.ostreerepo import checkout, fsck, rev_parse
from tests.tools.process import run
from tests.tools.releaseworld import history
from tests.tools.storecommand import answered
from tests.tools.tarbuild import Entry

pytestmark = pytest.mark.root

STORE = "usr/lib/containers/storage"
#: What may be said by the command that comes second.
BESIDE = ("was committed to meanwhile", "exclusively: ", "no image", "no branch", "locking repo")


@dataclass(frozen=True)
class Work:
    """A command, and the branch that it moves. With `history`, its commits have parents."""

    argv: Callable[[Path, str], list[str]]
    branch: str = ""
    history: bool = False


def _import(name: str, place: Path, branch: str, *more: str) -> list[str]:
    return [name, f"--repo={place}/repo", f"--branch={branch}", "--quiet", *more]


#: The second argument tells two runs of one command apart.
WORKS = {
    "import-image": Work(
        lambda place, tag: _import("import-image", place, "apps", f"oci:{place}/layout:{tag}"),
        "apps",
    ),
    "import-storage": Work(
        lambda place, _tag: _import("import-storage", place, "apps", f"{place}/store/{STORE}"),
        "apps",
    ),
    "import-release": Work(
        lambda place, tag: _import(
            "import-release", place, "night", "--allow-transports=oci", f"{place}/{tag}.list"
        ),
        "night", history=True,
    ),
    "import-tree": Work(
        lambda place, tag: _import("import-tree", place, "os", f"{place}/tree-{tag}"),
        "os", history=True,
    ),
    "remove": Work(
        lambda place, _tag: [
            "image-store", "remove", f"--repo={place}/repo", "--branch=apps", "r.io/gone:1",
        ],
        "apps",
    ),
    "prune": Work(lambda place, _tag: ["image-store", "prune", f"--repo={place}/repo"]),
    "export": Work(
        lambda place, tag: [
            "image-store", "export", f"--repo={place}/repo", "r.io/stays:1",
            f"oci:{place}/out-{tag}:t",
        ],
    ),
    "embed": Work(
        lambda place, tag: [
            "image-store", "embed", f"--repo={place}/repo", "stays",
            f"--base=oci:{place}/layout:one", f"--to=oci:{place}/new-{tag}:t",
        ],
    ),
}  # fmt: skip
PAIRS = [" and ".join(pair) for pair in combinations_with_replacement(WORKS, 2)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with a branch for each command, a layout, lists, trees and a store."""
    home = tmp_path_factory.mktemp("pairs") / "template"
    shared = [Entry(b"shared", content=b"s" * 3000)]
    for tag in ("one", "two", "gone", "stays"):
        build_oci(home / "layout", tag, [shared, [Entry(tag.encode(), content=tag.encode())]])
    repo = home / "repo"
    layout = f"oci:{home}/layout"
    imported(repo, "--branch=apps", f"r.io/gone:1={layout}:gone")
    imported(repo, "--branch=stays", "--whiteouts=none", f"r.io/stays:1={layout}:stays")
    for tag in ("one", "two", "gone"):
        (home / f"{tag}.list").write_text(f"a oci:{home}/layout:{tag}\n")
        (home / f"tree-{tag}").mkdir()
        (home / f"tree-{tag}/file").write_text(tag)
    released(repo, "--branch=night", "--allow-transports=oci", home / "gone.list")
    checkout(repo, "stays", home / "store")
    succeed(*WORKS["import-tree"].argv(home, "gone"))
    return home


def succeed(*argv: str) -> None:
    status, _, stderr = finished(start(argv[0], argv[1:], {}))
    assert status == 0, stderr


def check_pair(template: Path, home: Path, pair: str) -> None:
    """Run the two at once; then one after the other, which has to succeed."""
    place, names = home / "place", pair.split(" and ")
    run(["cp", "-a", template, place])
    works = [WORKS[name] for name in names]
    before = {work.branch: rev_parse(place / "repo", work.branch) for work in works if work.branch}
    argvs = [work.argv(place, tag) for work, tag in zip(works, ("one", "two"), strict=True)]
    started = [start(argv[0], argv[1:], {}) for argv in argvs]
    made: dict[str, list[str]] = {branch: [] for branch in before}
    for work, process in zip(works, started, strict=True):
        status, stdout, stderr = finished(process)
        assert status in (0, 1), (pair, status, stderr)
        assert status == 0 or any(said in stderr for said in BESIDE), (pair, stderr)
        if status == 0 and work.branch:
            made[work.branch].append(stdout.split()[-1])
    check_repo(place / "repo", before, made, works)
    for name, argv in zip(names, argvs, strict=True):
        status, _, stderr = finished(start(argv[0], argv[1:], {}))
        assert status == 0 or (name == "remove" and "no image" in stderr), (pair, stderr)
    fsck(place / "repo")
    assert answered(place / "repo", "verify", "--quiet")["ok"]


def check_repo(
    repo: Path, before: dict[str, str], made: dict[str, list[str]], works: list[Work]
) -> None:
    """Each branch has a commit that a command returned; with a history, it has all of these."""
    fsck(repo)
    for branch, commits in made.items():
        head = rev_parse(repo, branch)
        assert head in (commits or [before[branch]]), branch
        if any(work.history for work in works if work.branch == branch):
            assert {*commits, before[branch]} <= set(history(repo, branch)), branch


@pytest.mark.parametrize(
    "pair", ["import-release and import-release", "import-image and prune", "remove and remove"]
)
def test_some_pairs(template: Path, tmp_path: Path, pair: str) -> None:
    check_pair(template, tmp_path, pair)


@pytest.mark.fuzz
@pytest.mark.parametrize("pair", PAIRS)
def test_all_pairs(
    template: Path, tmp_path: Path, record_property: Callable[[str, object], None], pair: str
) -> None:
    check_pair(template, tmp_path, pair)
    for name in dict.fromkeys(pair.split(" and ")):
        tried.note(record_property, name, "beside another command", 1)
