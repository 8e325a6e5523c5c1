"""The pages about import-release: what they tell people to write is there."""

import re
import subprocess
from pathlib import Path

import pytest

from importer.cli.import_release import import_release
from layers.release.commit_metadata import metadata
from layers.release.release import Component, Release

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = ("how-to/nightly.md", "reference/import-release.md")
TEXT = "\n".join((DOCS / page).read_text() for page in PAGES)
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")


def known_options() -> set[str]:
    return {name for param in import_release.params for name in param.opts}


def commands() -> list[str]:
    """Each call of import-release in the blocks, its continued lines with it."""
    code = "\n".join([*(body for _, body in BLOCKS), *re.findall(r"^    .*", TEXT, re.MULTILINE)])
    joined = code.replace("\\\n", " ")
    found = re.findall(r"import-release (--[^\n]*)", joined)
    return [re.split(r"\|\||>", call)[0] for call in found]


def test_every_command_has_only_options_that_there_are() -> None:
    assert len(commands()) == 6
    for call in commands():
        assert set(OPTION.findall(call)) <= known_options()


def test_every_option_that_the_text_names_is_there() -> None:
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    named = {one for code in re.findall(r"`([^`]*)`", prose) for one in OPTION.findall(code)}
    assert named - {"--onto"} <= known_options()
    assert len(named) > 15


def test_every_metadata_key_is_told() -> None:
    release = Release({"a": Component("a", "q.io/a/b:1")}, "name", "version", "amd64")
    assert all(f"`{key}`" in TEXT for key, _ in metadata(release))


@pytest.mark.parametrize("script", [body for kind, body in BLOCKS if kind == "bash"])
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_the_steps_of_the_workflow_are_bash() -> None:
    (workflow,) = [body for kind, body in BLOCKS if "jobs:" in body]
    steps = re.findall(r"run: \|\n((?: {10}[^\n]*\n|\n)+)", workflow)
    assert len(steps) == 5
    for step in steps:
        subprocess.run(["bash", "-n"], input=step.encode(), check=True)
