"""Every command line in the documentation is one that the programs take."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fixtures.packaging.commands import COMMANDS, subcommands
from importer.cli.options.command import Setting
from tests.tools.page import blocks

TOP = Path(__file__).parent.parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
USED = [TOP / "README.md", *sorted((TOP / "docs/how-to").rglob("*.md"))]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
#: Options of other programs that a page speaks of by themselves.
OTHERS = {
    "--help",
    "--process-passthrough-whiteouts",
    "--pull",
    "--force",
    "--remove-signatures",
    "--repair",
    "--decryption-key",
    # Of podman, and of pipx.
    "--cap-add",
    "--mount",
    "--privileged",
    "--uidmap",
    "--userns",
    "--cap-drop",
    "--read-only",
    "--security-opt",
    "--storage-opt",
    "--system-site-packages",
    "--tmpfs",
    # Of `dask worker`.
    "--local-directory",
    # Of tar and cp.
    "--hard-dereference",
    "--no-preserve",
    # Of `ostree commit`, which import-tree's options are compared with.
    "--add-metadata-string",
    "--bind-ref",
    "--body",
    "--bootable",
    "--consume",
    "--editor",
    "--generate-composefs-metadata",
    "--link-checkout-speedup",
    "--orphan",
    "--parent",
    "--selinux-policy-from-base",
    "--skip-if-unchanged",
    "--tree",
}
CALL = re.compile(rf"(?:^|[|;(] *|xargs |exec |-- )(?:\S*/)?({'|'.join(COMMANDS)})(?= )(.*)")


def code(page: Path) -> Iterator[str]:
    """The lines of a page's blocks of code, continued ones joined."""
    for block in blocks(page):
        yield from (line.strip() for line in block.text.replace("\\\n", " ").splitlines())


def _plain(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def shown(page: Path) -> Iterator[str]:
    """The lines of code of a page, and what its text has as code."""
    yield from code(page)
    yield from re.findall(r"`([^`\n]+)`", _plain(page.read_text().replace("\\\n", " ")))


def options(command: click.Command) -> set[str]:
    """All options of a command."""
    params = [one for one in command.params if not isinstance(one, Setting)]
    return {name for param in params for name in (*param.opts, *param.secondary_opts)}


def named(name: str, arguments: str) -> click.Command:
    """The command, or the one of image-store that the arguments name first."""
    command = COMMANDS[name]
    words = [word for word in arguments.split() if word in subcommands(command)]
    return subcommands(command)[words[0]] if words else command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_calls_have_known_options(page: Path) -> None:
    for line in shown(page):
        for name, arguments in CALL.findall(line):
            ours = re.split(r" [|>;&]|\|\|", arguments)[0]
            assert set(OPTION.findall(ours)) <= options(named(name, ours)), line


def parse(name: str, words: list[str]) -> None:
    """Parse a command line; raise click.UsageError if an option or a rule refuses it."""
    command = COMMANDS[name]
    if words[0] in subcommands(command):
        name, *words = words
        command = subcommands(command)[name]
    command.make_context(name, words)


@pytest.mark.parametrize("page", USED, ids=lambda page: page.name)
def test_calls_are_accepted(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTREE_REPO", "/srv/repo")
    for line in code(page):
        if re.search(r"\$[({]", line):  # only a shell or a CI knows the words
            continue
        for name, arguments in CALL.findall(line):
            words = shlex.split(re.split(r" [|>;&#]|\|\||\)", arguments)[0])
            if not {"--help", "--version"} & {*words}:
                parse(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_options_in_the_text_are_known(page: Path) -> None:
    commands = [one for top in COMMANDS.values() for one in (top, *subcommands(top).values())]
    known = {name for command in commands for name in options(command)} | OTHERS
    alone = (line for line in shown(page) if line.startswith("--"))
    assert {name for line in alone for name in OPTION.findall(line)} <= known


def test_calls_are_found() -> None:
    found = [call for page in PAGES for line in shown(page) for call in CALL.findall(line)]
    assert len(found) > 40
    assert {name for name, _ in found} >= {"import-image", "import-release", "image-store"}
