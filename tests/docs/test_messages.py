"""docs/troubleshooting.md: each message that it quotes is one that the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent
PAGE, DEVICE = (TOP / "docs/troubleshooting.md").read_text().split("\n## On the device\n")
QUOTED = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


def texts(path: Path) -> Iterator[str]:
    """The strings of a file, with `…` for each value that an f-string puts in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
            yield "".join(map(str, parts))


@pytest.fixture(scope="module")
def code() -> list[str]:
    """All strings of the program."""
    files = [path for top in ("importer", "layers") for path in (TOP / top).rglob("*.py")]
    return [text for path in files for text in texts(path)]


@pytest.mark.parametrize("message", QUOTED)
def test_message_stands_in_the_code(message: str, code: list[str]) -> None:
    assert any(message in text for text in code), "the message was changed: change the page, too"


def test_there_are_messages() -> None:
    assert len(QUOTED) > 30
    assert not re.search(r"^### [^`]", PAGE, re.MULTILINE)
    assert "###" in DEVICE
