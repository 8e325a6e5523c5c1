"""The same input gives the same commit, whatever the repo, the order and the time."""

from pathlib import Path
from random import Random

import pytest

from fixtures.images import definition
from tests.tools import ostreerepo
from tests.tools.image import CREATED, Compression, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import Mode, heads, ostree
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

CREATED_SECONDS = 1714979289  # date -d 2024-05-06T07:08:09Z +%s
BASE = [Entry(b"a", content=b"a\n")]
#: Megabytes that are in no file of the tree, and so in the tar-split record.
NOISE = Random(1).randbytes(3_000_000)
LARGE = [
    Entry(b"a", content=NOISE),
    Entry(b"a", content=b"the last wins"),
    Entry(b".wh.b", content=NOISE),
]


@pytest.fixture
def references(registry: Registry, layout: Path, fixtures: Path) -> list[str]:
    """Images of all kinds of files, and one more that shares layers with the first."""
    found = []
    for name in ("deletions", "owners-modes-xattrs"):
        built = build_oci(layout, name, definition.load(fixtures / f"{name}.layers"))
        found.append(registry.push(built, f"determinism-{name}:t"))
    layers = definition.load(fixtures / "deletions.layers")
    more = build_oci(layout, "more", [*layers, BASE, LARGE], created="2025-01-01T00:00:00.5+01:00")
    return [*found, registry.push(more, "determinism-more:t")]


def test_repos_orders_and_times_make_no_difference(tmp_path: Path, references: list[str]) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    imported(one, "--branch=os/b", *references)
    # The other way round, one by one, and with other layers there before.
    for reference in reversed(references):
        imported(other, "--form=layers", reference)
    imported(other, "--branch=os/b", *reversed(references))
    assert heads(one) == heads(other)


@pytest.mark.root
def test_modes_make_no_difference(tmp_path: Path, references: list[str]) -> None:
    modes: tuple[Mode, ...] = ("bare-user", "archive", "bare")
    repos = [ostreerepo.init(tmp_path / mode, mode) for mode in modes]
    for repo in repos:
        imported(repo, "--branch=os/b", *references)
        ostreerepo.fsck(repo)
    found = [heads(repo) for repo in repos]
    assert found[0] == found[1] == found[2]
    assert "os/b" in found[0]


def test_packing_makes_no_difference_to_a_layers_commits(
    registry: Registry, tmp_path: Path, layout: Path, fixtures: Path
) -> None:
    layers = [*definition.load(fixtures / "deletions.layers"), LARGE]
    repos = []
    kinds: tuple[Compression, ...] = ("gzip", "zstd", "none")
    for compression in kinds:
        repos.append(tmp_path / compression)
        built = build_oci(layout, compression, layers, compression=compression)
        imported(repos[-1], "--form=layers", registry.push(built, f"packing:{compression}"))
    assert heads(repos[0]) == heads(repos[1]) == heads(repos[2])
    assert len(heads(repos[0])) == 8


def timestamp(repo: Path, ref: str) -> str:
    """The commit's time, as ostree shows it."""
    (line,) = [line for line in ostree(repo, "show", ref).splitlines() if line.startswith("Date:")]
    return line.removeprefix("Date:").strip()


def test_the_time_is_the_newest_images(tmp_path: Path, references: list[str]) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=os/b", references[0])
    assert timestamp(repo, "os/b") == CREATED.replace("T", " ").replace("Z", " +0000")
    imported(repo, "--branch=os/b", *references)
    assert timestamp(repo, "os/b") == "2024-12-31 23:00:00 +0000"


def test_an_image_without_a_date_is_of_1970(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    reference = registry.push(build_oci(layout, "t", [BASE], created=None), "dateless:t")
    imported(tmp_path / "repo", "--branch=os/b", reference)
    assert timestamp(tmp_path / "repo", "os/b") == "1970-01-01 00:00:00 +0000"


@pytest.mark.parametrize("text", [f"@{CREATED_SECONDS + 7}", "2024-05-06T09:08:16+02:00"])
def test_timestamp_is_the_commits_alone(tmp_path: Path, references: list[str], text: str) -> None:
    repo = tmp_path / "repo"
    first = imported(repo, "--branch=os/b", references[0])
    layers = [layer["commit"] for layer in first["images"][0]["layers"]]
    second = imported(repo, "--branch=os/b", f"--timestamp={text}", references[0])
    assert timestamp(repo, "os/b") == "2024-05-06 07:08:16 +0000"
    assert second["commit"] != first["commit"]
    assert [layer["commit"] for layer in second["images"][0]["layers"]] == layers
    # With the image's own time it is the first commit again.
    third = imported(repo, "--branch=os/b", f"--timestamp=@{CREATED_SECONDS}", references[0])
    assert third["commit"] == first["commit"]


def test_subject(tmp_path: Path, references: list[str]) -> None:
    repo = tmp_path / "repo"
    imported(repo, "--branch=os/b", references[0])
    assert f"    {references[0]}\n" in ostree(repo, "show", "os/b")
    changed = imported(repo, "--branch=os/b", "--subject=A line of one's own", references[0])
    assert changed["unchanged"] is False
    assert "    A line of one's own\n" in ostree(repo, "show", "os/b")
    again = imported(repo, "--branch=os/b", "--subject=A line of one's own", references[0])
    assert again["unchanged"] is True


@pytest.mark.parametrize(
    "text", ["yesterday", "@-1", "@x", "1969-12-31T00:00:00Z", "2024-05-06T24:00:00"]
)
def test_a_timestamp_that_is_none_is_a_usage_error(tmp_path: Path, text: str) -> None:
    outcome = run_import(tmp_path / "repo", f"--timestamp={text}", "example.org/a:b")
    assert outcome.status == 2
    assert "timestamp" in outcome.stderr
    assert not (tmp_path / "repo").exists()
