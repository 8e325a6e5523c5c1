"""Random layer stacks: what we make of them, umoci and podman make of them, too.

Where we refuse a layer, the reason must be one of those below; where the tools differ from
us, one of tests/tools/differences.py must explain it. `make fuzz` runs this for as long as
FUZZ_SECONDS says; a stack that failed once becomes a file of fixtures/images/differential/.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import currently_in_test_context, event, given, note
from hypothesis import strategies as st

from fixtures.images import definition
from layers.errors import LayerError
from tests.conftest import FIXTURES
from tests.semantics.test_semantics import ACCEPTED, CASES
from tests.tools.differences import rewritten
from tests.tools.fuzz import again_and_again, examples
from tests.tools.lab import Lab, part, side_by_side
from tests.tools.stack import Listing, Stack
from tests.tools.strategies import Layers, stacks
from tests.tools.written import written

pytestmark = pytest.mark.root

REFUSALS = [
    r": the path leads through (something that is not a directory|a whiteout)$",
    r": the path leads through what is no directory in a lower layer$",
    r": hardlink to .*, which is no file of this layer so far, nor of one below$",
    r": hardlink to the directory ",
    r": the hardlink's target is below something that is no directory$",
    r": a whiteout that is a directory$",
]
FAILED_ONCE = sorted((FIXTURES / "differential").glob("*.layers"))


def say(how: Callable[[str], None], text: str) -> None:
    """Tell Hypothesis, where it is running the test."""
    if currently_in_test_context():
        how(text)


def accepted(layers: Layers) -> Layers:
    """The layers that we take, in their order; the others must be refused for a good reason."""
    taken: Layers = []
    for layer in layers:
        stack = Stack("skip")
        for below in taken:
            stack.add(below)
        try:
            stack.add(layer)
        except LayerError as error:
            if not any(re.search(reason, str(error)) for reason in REFUSALS):
                raise
        else:
            taken.append(layer)
    say(note, f"taken:\n{written(taken)}")
    return taken


def merged(layers: Layers) -> Listing:
    """What we make of them, in memory."""
    stack = Stack("skip")
    for layer in layers:
        stack.add(layer)
    return stack.merged()


def check_same(tool: str, read: Callable[[Layers], Listing | None], layers: Layers) -> None:
    """The tool must show what we do, at least after what it reads otherwise is rewritten."""
    ours = merged(layers)
    if read(layers) == ours:
        say(event, f"{tool}: the same")
    else:
        say(event, f"{tool}: the same once rewritten")
        assert read(rewritten(layers, tool)) == ours


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Where the images are made."""
    return Lab(tmp_path_factory.mktemp("lab"))


def check_with_umoci(lab: Lab, several: list[Layers]) -> None:
    """Import them as one image, and look at each; umoci gets them as one image, too."""
    taken = [accepted(layers) for layers in several]
    together = side_by_side(taken)
    mounted, unpacked = lab.ours(together), lab.umoci(together)
    for number, layers in enumerate(taken):
        ours = merged(layers)
        assert part(mounted, number) == ours
        if unpacked is not None and part(unpacked, number) == ours:
            say(event, "umoci: the same")
        else:
            check_same("umoci", lab.umoci, layers)


@examples(20, shrink=False)
@given(several=st.lists(stacks(), min_size=1, max_size=10))
def test_random_stacks_with_umoci(lab: Lab, several: list[Layers]) -> None:
    check_with_umoci(lab, several)


@examples(30)
@given(layers=stacks())
def test_random_stack_with_umoci_from_the_root(lab: Lab, layers: Layers) -> None:
    """By itself: with its own root, and nothing beside it."""
    taken = accepted(layers)
    assert lab.ours(taken) == merged(taken)
    check_same("umoci", lab.umoci, taken)


@examples(8, shrink=False)
@given(several=st.lists(stacks(), min_size=1, max_size=10))
def test_random_stacks_with_podman(lab: Lab, several: list[Layers]) -> None:
    """podman has several as one image once they are rewritten, and the first as it is."""
    taken = [accepted(layers) for layers in several]
    check_same("podman", lab.podman, taken[0])
    shown = lab.podman(side_by_side([rewritten(layers, "podman") for layers in taken]))
    assert shown is not None
    for number, layers in enumerate(taken):
        assert part(shown, number) == merged(layers)


@pytest.mark.parametrize("path", FAILED_ONCE, ids=lambda path: path.stem)
def test_what_failed_once(lab: Lab, path: Path) -> None:
    layers = definition.load(path)
    check_with_umoci(lab, [layers])
    check_same("podman", lab.podman, layers)


def test_each_case_of_the_semantics(lab: Lab) -> None:
    """All that we take, in one image: a checkout of it shows what the cases say."""
    cases = [CASES[name] for name in ACCEPTED]
    mounted = lab.ours(side_by_side([case.layers for case in cases]))
    for number, case in enumerate(cases):
        stack = Stack("skip")
        for layer in case.layers:
            stack.add(layer)
        assert part(mounted, number) == stack.merged(), case.name


@pytest.mark.fuzz
def test_fuzz_with_umoci(lab: Lab) -> None:
    again_and_again(test_random_stacks_with_umoci, lab)


@pytest.mark.fuzz
def test_fuzz_with_podman(lab: Lab) -> None:
    again_and_again(test_random_stacks_with_podman, lab)
