"""The rules between the packages, read off the code's own imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = sorted((ROOT / "layers").glob("**/*.py"))
IMPORTER = sorted((ROOT / "importer").glob("**/*.py"))

# What a module must not even import if it is to be bytes in, values out.
EFFECTS = {
    "asyncio", "gi", "glob", "importer", "io", "multiprocessing", "os", "pathlib", "requests",
    "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
OPENING_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def called(path: Path) -> set[str]:
    """The plain names that a file calls."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def test_there_is_something_to_look_at() -> None:
    assert len(LAYERS) > 10
    assert len(IMPORTER) > 10


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.name)
def test_layers_are_pure(path: Path) -> None:
    assert not imported(path) & EFFECTS
    assert not called(path) & OPENING_CALLS


@pytest.mark.parametrize("package", ["gi", "subprocess"])
def test_one_door_each(package: str) -> None:
    doors = [path.name for path in IMPORTER if package in imported(path)]
    assert doors == [{"gi": "libostree.py", "subprocess": "process.py"}[package]]


def test_only_one_file_prints_and_exits() -> None:
    assert [p.name for p in IMPORTER if "print" in called(p)] == []
    assert [p.name for p in IMPORTER if "echo(" in p.read_text()] == ["finish.py"]
    exits = [p.name for p in IMPORTER if "sys.exit(" in p.read_text()]
    assert exits == ["finish.py"]


def test_the_checks_can_fail(tmp_path: Path) -> None:
    guilty = tmp_path / "guilty.py"
    guilty.write_text("def f():\n import os.path\n from subprocess import run\n open('x')\n")
    assert imported(guilty) == {"os", "subprocess"}
    assert called(guilty) == {"open"}
