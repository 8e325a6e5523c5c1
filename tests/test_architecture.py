"""The rules between the packages, read off the code's own imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
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

# The floors of importer/, top first: a file imports from its own package and from floors below.
# Packages on the same floor do not import each other.
FLOORS: list[set[str]] = [
    {"cli"},
    {"imagestore", "copies"},
    {"embed"},
    {"cluster"},
    {"run"},
    {"sources"},
    {"release"},
    {"graphroot", "tree"},
    {"commit"},
    {"verify"},
    {"store"},
    {"ingest"},
    {"cache"},
    {"fetch"},
    {"workers"},
    {"repo"},
    {"files"},
    {"render"},
    {"process"},
    {"pipe", "stopped"},
    {"errors", "progress"},
    # The program for devices, which is packed by itself.
    {"device"},
]


def imported_modules(path: Path) -> set[str]:
    """The dotted names of the modules that a file imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it the import stands."""
    return {name.partition(".")[0] for name in imported_modules(path)}


def called(path: Path) -> set[str]:
    """The plain names that a file calls."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def floor_of(room: str) -> int:
    """The number of a room's floor, 0 for the top one."""
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def rooms_entered(root: Path, path: Path) -> set[str]:
    """The packages and modules directly in `root` that a file imports from."""
    names = (name.split(".") for name in imported_modules(path))
    below = {parts[1] for parts in names if parts[0] == root.name and len(parts) > 1}
    return {one for one in below if (root / one).is_dir() or (root / f"{one}.py").is_file()}


def climbing(root: Path, path: Path) -> list[str]:
    """The rooms that a file imports from although they are not below its own."""
    room = path.relative_to(root).parts[0].removesuffix(".py")
    own = floor_of(room)
    others = rooms_entered(root, path) - {room}
    return sorted(other for other in others if floor_of(other) <= own)


def test_one_class_name_is_one_thing() -> None:
    """A leading underscore apart."""
    found: dict[str, list[str]] = {}
    for path in (*IMPORTER, *LAYERS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                place = str(path.relative_to(ROOT))
                found.setdefault(node.name.lstrip("_"), []).append(place)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_there_is_something_to_look_at() -> None:
    assert len(LAYERS) > 10
    assert len(IMPORTER) > 10


@pytest.mark.parametrize(
    "path", IMPORTER, ids=lambda path: str(path.relative_to(ROOT / "importer"))
)
def test_imports_run_downwards(path: Path) -> None:
    """Those for type checking, too."""
    if path != ROOT / "importer/__init__.py":
        assert climbing(ROOT / "importer", path) == []


HIDING = {"exists", "is_dir", "is_file"}


@pytest.mark.parametrize(
    "path", IMPORTER, ids=lambda path: str(path.relative_to(ROOT / "importer"))
)
def test_absent_and_unreadable_are_two_answers(path: Path) -> None:
    """`Path.exists()` and its kin return False for any OSError; files/presence.py does not."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    methods = (call.func for call in calls if not call.args)
    names = {method.attr for method in methods if isinstance(method, ast.Attribute)}
    assert not HIDING & names


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_are_pure(path: Path) -> None:
    assert not imported(path) & EFFECTS
    assert not called(path) & OPENING_CALLS


# The floors of layers/, lowest first; "" is the files beside the packages. A file imports from
# its own package and from the floors below.
FLOORS_OF_LAYERS = (
    "", "ostree", "tar", "oci", "compress", "tarsplit", "tree", "ondisk", "storage", "lists",
    "release",
)  # fmt: skip


def layers_imports(path: Path) -> set[str]:
    """The modules `layers.…` that a file imports, type-checking ones too, as `package.module`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from layers.oci import media_type` imports a module, too.
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one for one in submodules if (ROOT / f"{one.replace('.', '/')}.py").exists()}
            found.add(node.module)
    return {one.removeprefix("layers.") for one in found if one.startswith("layers.")}


def package_of(module: str) -> str:
    """The package within layers/, "" for a file beside the packages."""
    if (ROOT / "layers" / module).is_dir():
        return module
    return module.partition(".")[0] if "." in module else ""


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_import_downwards_only(path: Path) -> None:
    parts = path.relative_to(ROOT / "layers").parts
    own = FLOORS_OF_LAYERS.index(parts[0] if len(parts) > 1 else "")
    upwards = {m for m in layers_imports(path) if FLOORS_OF_LAYERS.index(package_of(m)) > own}
    assert not upwards


def test_no_two_files_of_layers_import_each_other() -> None:
    graph = {
        ".".join(path.relative_to(ROOT / "layers").with_suffix("").parts): layers_imports(path)
        for path in LAYERS
        if path.name != "__init__.py"
    }
    modules = {name: imports & graph.keys() for name, imports in graph.items()}
    assert tuple(TopologicalSorter(modules).static_order())  # raises CycleError for a cycle


@pytest.mark.parametrize(
    ("package", "doors"),
    [
        ("gi", ["repo/libostree.py"]),
        ("subprocess", ["process.py"]),
        ("distributed", ["cluster/dask.py", "cluster/local_cluster.py"]),
    ],
)
def test_few_doors_each(package: str, doors: list[str]) -> None:
    assert [path for path in IMPORTER if package in imported(path)] == [
        ROOT / "importer" / door for door in doors
    ]


def test_only_one_file_prints_and_exits() -> None:
    assert [p.name for p in IMPORTER if "print" in called(p)] == []
    assert [p.name for p in IMPORTER if "echo(" in p.read_text()] == ["finish.py"]
    exits = [p.name for p in IMPORTER if "sys.exit(" in p.read_text()]
    assert exits == ["finish.py"]


def test_the_command_line_is_typed() -> None:
    """An option's value has a type from the declaration to the job."""
    command_line = sorted((ROOT / "importer/cli").glob("**/*.py"))
    assert [p.name for p in command_line if "typing.Any" in imported_modules(p)] == []


def test_the_checks_can_fail(tmp_path: Path) -> None:
    guilty = tmp_path / "guilty.py"
    guilty.write_text("def f():\n import os.path\n from subprocess import run\n open('x')\n")
    assert imported(guilty) == {"os", "subprocess"}
    assert called(guilty) == {"open"}


def test_the_check_of_the_floors_can_fail(tmp_path: Path) -> None:
    root = tmp_path / "importer"
    for room in ("cache", "ingest", "graphroot", "tree"):
        (root / room).mkdir(parents=True)
    (root / "progress.py").touch()
    guilty, neighbour = root / "cache/guilty.py", root / "tree/neighbour.py"
    guilty.write_text(
        "from typing import TYPE_CHECKING\nfrom importer import progress\n"
        "if TYPE_CHECKING:\n    from importer.ingest.budget import Budget\n"
    )
    neighbour.write_text("def f():\n    import importer.graphroot.source\n")
    assert climbing(root, guilty) == ["ingest"]
    assert climbing(root, neighbour) == ["graphroot"]
