"""docs/safe-store.md: each failure has four parts, and names tests that exist."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent
TEXT = (TOP / "docs/safe-store.md").read_text()
FAILURES = dict(re.findall(r"^### (.+)\n((?:(?!^##).*\n)+)", TEXT, re.MULTILINE))
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_there_are_failures() -> None:
    assert len(FAILURES) > 12


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_in_four_parts(failure: str) -> None:
    parts = re.findall(r"^- \*\*(\w+)\*\*:", FAILURES[failure], re.MULTILINE)
    assert parts == ["How", "Here", "Tests", "Remains"]
    shown = FAILURES[failure].partition("- **Tests**:")[2].partition("- **Remains**")[0]
    assert TEST.search(shown)


@pytest.mark.parametrize(("file", "name"), TEST.findall(TEXT))
def test_a_named_test_is_in_the_named_file(file: str, name: str) -> None:
    assert f"def {name}(" in (TOP / file).read_text()
