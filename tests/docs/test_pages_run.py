"""The commands of README and of the how-to pages run as they stand, and print what is shown."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.tools.lacking import need
from tests.tools.page import Block, Mark, blocks
from tests.tools.pageworld import AFTER, BEFORE, PageWorld, page_world
from tests.tools.rootless import new_user

TOP = Path(__file__).parent.parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs/how-to").glob("*.md"))]
#: Why commands of a page do not run here, and how many blocks of each reason there are at most.
NOT_RUN = {
    "a booted device": 4,
    "a cluster": 3,
    "a user's session": 2,
    "an image with cron": 1,
    "an ostree with ed25519": 1,
    "another program": 3,
    "bootc": 1,
    "installation": 12,
    "systemd": 3,
    "the container image": 3,
}
#: A user with sub-ids of its own runs first.sh.
AS_USER = """
useradd --create-home --home-dir /srv/tester tester
chmod 1777 /tmp /var/tmp
HOME=/srv/tester USER=tester setpriv --reuid=tester --regid=tester --clear-groups bash first.sh
"""
#: Numbers and checksums, which differ from machine to machine.
_VARIES = re.compile(r"[0-9a-f]{12,}…?|\d[\d,.]*")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    """What the pages share."""
    for program in ("busybox", "dockerd", "umoci"):
        need(program)
    with page_world(tmp_path_factory.mktemp("pages")) as made:
        yield made


def steps(page: Path) -> list[Block]:
    """The commands that run, and the files that they find."""
    found = blocks(page)
    return [one for one in found if one.mark.kind == "file" or _runs(one)]


def _runs(block: Block) -> bool:
    return block.is_shell and block.mark.kind != "not run"


def missing(shown: str, printed: str) -> list[str]:
    """The shown lines that the output lacks; they have to be there in their order."""
    lines = iter([_VARIES.sub("0", line.rstrip()) for line in printed.splitlines()])
    return [one for one in shown.splitlines() if _VARIES.sub("0", one) not in lines]


@pytest.mark.root
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_run(page: Path, world: PageWorld, tmp_path: Path) -> None:
    name = page.name
    with world.machine(tmp_path / "machine", name) as machine:
        done = machine.run(steps(page), BEFORE.get(name, ""), AFTER.get(name, ""))
    assert done.status == 0, f"{name}:{done.line}: {done.outputs[done.line]}"
    for commands, shown in pairwise(blocks(page)):
        if shown.mark.kind == "output":
            printed = done.outputs[commands.line]
            assert not missing(shown.text, printed), f"{name}:{shown.line}: {printed}"


@pytest.mark.root
def test_the_first_commands_run_as_any_user(
    world: PageWorld, unprivileged: Path, tmp_path: Path
) -> None:
    """The user's fixtures skip the test where users cannot read the commands, or run podman."""
    unprivileged.chmod(0o755)
    with new_user(unprivileged):
        pass
    first = steps(PAGES[0])[0]
    with world.machine(tmp_path / "machine", "README.md") as machine:
        (machine.work / "first.sh").write_text("set -e\ncd\n" + first.text)
        done = machine.run([], AS_USER)
    assert done.status == 0, done.outputs
    assert "started from ostree\n" in done.outputs[0]


@pytest.mark.root
def test_a_command_that_fails_is_found(world: PageWorld, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Try\n\n    echo a\n\nand\n\n    false\n    echo b\n")
    with world.machine(tmp_path / "machine", "page.md") as machine:
        done = machine.run(steps(tmp_path / "page.md"))
    assert (done.status, done.line) == (1, 7)
    assert done.outputs[3].strip() == "a"
    assert missing("a\nb\n", "a\n") == ["b"]


def test_what_does_not_run_is_counted() -> None:
    marks = Counter(
        one.mark.word for page in PAGES for one in blocks(page) if one.mark.kind == "not run"
    )
    assert not marks - Counter(NOT_RUN), "a reason that is not allowed, or one more block of one"
    assert sum(_runs(one) for page in PAGES for one in blocks(page)) > 45


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_no_gaps(page: Path) -> None:
    """A reader can paste them: no ellipsis, and outputs follow commands that run."""
    found = blocks(page)
    assert not [one.text for one in found if one.is_shell and "…" in one.text]
    assert found[0].mark.kind != "output" if found else True
    for before, after in pairwise(found):
        assert after.mark.kind != "output" or _runs(before), after


def test_blocks_are_read_as_they_are_shown(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n    one\n\n    two\n\n- a list\n\n    with text\n\nText\n    of a paragraph\n\n"
        "<!-- file: a.toml -->\n\n```toml\nx = 1\n```\n\n<!-- not run: bootc -->\n\n    boot\n"
    )
    assert blocks(page) == [
        Block(3, "", "one\n\ntwo\n", Mark()),
        Block(17, "toml", "x = 1\n", Mark("file", "a.toml")),
        Block(22, "", "boot\n", Mark("not run", "bootc")),
    ]
