"""-h fits on one screen, with examples that work; --help has all options, in 80 columns."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fixtures.packaging.commands import COMMANDS, brief_help, subcommands
from tests.tools.importimage import SCRIPT

SCREEN = 40


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands, by what one types."""
    for program, command in COMMANDS.items():
        yield program, command
        for name, below in subcommands(command).items():
            yield f"{program} {name}", below


def printed(typed: str, *flags: str) -> list[str]:
    """The lines that the command prints, without trailing line breaks."""
    program, *words = typed.split()
    done = CliRunner().invoke(COMMANDS[program], [*words, *flags], prog_name=program)
    assert done.exit_code == 0, done.output
    return done.output.rstrip().splitlines()


@pytest.mark.parametrize("typed", [name for name, _ in commands()])
def test_h_is_one_screen_and_help_has_all(typed: str) -> None:
    brief, whole = printed(typed, "-h"), printed(typed, "--help")
    assert len(brief) <= SCREEN
    assert max(map(len, [*brief, *whole])) <= 80
    assert brief[0] == whole[0]
    assert brief[0].startswith(f"Usage: {typed} [OPTIONS]")
    assert sum(line.startswith("  -") for line in brief) <= 15


@pytest.mark.parametrize("program", COMMANDS)
def test_examples_are_accepted(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSTREE_REPO", raising=False)
    text = brief_help(COMMANDS[program]).examples.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    calls = [words for words in lines if words]
    assert len(calls) == 3
    for name, *words in calls:
        assert name == program
        command = COMMANDS[program]
        if words[0] in subcommands(command):
            command = subcommands(command)[words.pop(0)]
        assert command.make_context(name, words)


def test_the_options_of_h_are_options_of_the_command() -> None:
    shown = {name: brief_help(command).common for name, command in commands()}
    for name, command in commands():
        assert shown[name] <= {one.name for one in command.params}
    assert shown["import-image"] >= {"repo", "branch", "onto", "authfile"}


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        script = SCRIPT.with_name("import-tree")
        done = subprocess.run([script, "-h"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"error: the result cannot be written: No space left on device\n"
