"""The rules of docs/semantics.md: each row of its tables names the tests that hold it."""

import re

import pytest

from layers.errors import LayerError
from tests.conftest import FIXTURES
from tests.tools.case import Case, load_case
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
