"""The rules of docs/semantics.md: each row of its tables names the tests that hold it."""

import ast
import re
from pathlib import Path

import pytest

from fixtures.images.case import Case, load_case
from layers.errors import LayerError
from tests.conftest import FIXTURES
from tests.semantics.test_corpora import BLOBS
from tests.tools.differences import DIFFERENCES
from tests.tools.stack import Stack, listing

CASES = {path.stem: load_case(path) for path in sorted((FIXTURES / "semantics").glob("*.layers"))}
ACCEPTED = [name for name, case in CASES.items() if not case.refused]
REFUSED = [name for name, case in CASES.items() if case.refused]


def read(case: Case, piece: int = 1 << 16) -> Stack:
    """The case's layers, read."""
    stack = Stack(case.device_nodes)
    for layer in case.layers:
        stack.add(layer, piece)
    return stack


@pytest.mark.parametrize("name", ACCEPTED)
def test_layer(name: str) -> None:
    """The last layer is stored as the definition says, and what all show is what it says."""
    case = CASES[name]
    stack = read(case)
    assert case.result is not None
    assert stack.top() == listing(case.result)
    root = stack.layers[-1].tree.meta
    assert stack.store.metas[root] == (0o555, 0, 0, ())
    if case.merged is not None:
        assert stack.merged() == listing(case.merged)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """The last layer is refused, with its reason; those below are not."""
    case = CASES[name]
    stack = Stack(case.device_nodes)
    *below, last = case.layers
    for layer in below:
        stack.add(layer)
    with pytest.raises(LayerError) as caught:
        stack.add(last)
    assert re.search(case.refused, str(caught.value))


# -- the document --

TESTS = Path(__file__).parent.parent
DOCUMENT = TESTS.parent / "docs" / "semantics.md"
ROW = re.compile(r"^\|.*\| ([^|]*) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]+)`")


def rows_of_tables() -> list[tuple[str, list[str]]]:
    """Each row of the tables that end in "test", with the names in that cell."""
    found = []
    for table in re.split(r"\n\n", DOCUMENT.read_text(encoding="utf-8")):
        head, *rows = [line for line in table.splitlines() if line.startswith("|")] or [""]
        if head.endswith("| test |"):
            for row in rows[1:]:
                cells = re.split(r"(?<!\\)\|", row)
                found.append((row, NAME.findall(cells[-2])))
    return found


def functions_of(module: str) -> set[str]:
    """The test functions of a file, or of the files that have this name in several packages."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in TESTS.rglob(f"{module}.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def exists(name: str) -> bool:
    """Whether there is such a test, definition, or blob."""
    module, separator, function = name.partition("::")
    if separator:
        return function.startswith("test_") and function in functions_of(module)
    return name in CASES or name in BLOBS


def test_every_row_of_the_document_names_its_tests() -> None:
    rows = rows_of_tables()
    assert len(rows) > 120
    assert [row for row, names in rows if not names] == []
    assert [name for _, names in rows for name in names if not exists(name)] == []


def test_every_definition_is_named_in_the_document() -> None:
    named = {name for _, names in rows_of_tables() for name in names}
    assert sorted({*CASES, *BLOBS} - named - {"plain", "gzip", "zstd", "gzip-of-nothing"}) == []


def test_the_tests_that_other_documents_name_exist() -> None:
    """As `tests/test_x.py`, or as the name of a function."""
    named = set[str]()
    for path in DOCUMENT.parent.rglob("*.md"):
        named.update(re.findall(r"\b(test_\w+)(?=`|\.py)", path.read_text("utf-8")))
    modules = {path.stem for path in TESTS.rglob("test_*.py")}
    functions = {name for module in modules for name in functions_of(module)}
    assert "test_layers_and_links_keep_their_names" in named
    assert sorted(named - modules - functions) == []


def test_the_differences_are_those_of_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.index("| rewriting |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    assert rows == [
        [f"`{difference.rewrite.__name__}`", ", ".join(difference.tools)]
        for difference in DIFFERENCES
    ]
