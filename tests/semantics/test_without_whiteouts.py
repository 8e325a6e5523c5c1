"""Random layer stacks in a store of plain files: what overlayfs shows is what the layers mean.

Each store is verified as well; and what a layer's tree has of its own, as `image-store show` tells
it, is the layer as its branch has it, but for files that a lower layer has just so.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.images import definition
from importer.cache.branches import layer_branch
from importer.progress import Silence
from importer.repo.writer import Repo
from importer.store.find import find_stores
from importer.store.reader import StoreView
from importer.verify.store import verify
from layers.storage.layer_record import LayerRecord, chain
from layers.tree.lower import Lower, TreeDirectory
from layers.whiteout import unquoted
from tests.semantics.test_differential import FAILED_ONCE, accepted, merged
from tests.semantics.test_semantics import ACCEPTED, CASES
from tests.tools.fuzz import again_and_again, examples
from tests.tools.lab import Lab, part, side_by_side
from tests.tools.strategies import Layers, stacks

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Where the images are made."""
    return Lab(tmp_path_factory.mktemp("lab"))


def check(lab: Lab, several: list[Layers]) -> None:
    """Import them as one image of form none, and look at each."""
    mounted = lab.ours(side_by_side(several), check_store)
    for number, layers in enumerate(several):
        assert part(mounted, number) == merged(layers)


def check_store(path: Path) -> None:
    """The store has no fault, and each layer's own part is the layer."""
    repo = Repo.open(path)
    stores = find_stores(repo, ("all",), None)
    (result,) = verify(repo, stores, Silence(), 1).branches
    assert result.findings == []
    (store,) = stores.found
    for record in store.layers.values():
        check_own_part(repo, store, record)


def check_own_part(repo: Repo, store: StoreView, record: LayerRecord) -> None:
    branch = repo.root(repo.head(layer_branch(store.standard_ids[record.id])))
    found, layer = listed(store.own(record)), listed(branch)
    below = store.trees(chain(store.layers, record.parent))
    lower = listed(Lower.of(below)) if below else {}
    for path in found.keys() | layer.keys():
        if path not in found:  # a file or directory that is the same below
            assert lower[path] == layer[path], path
        else:
            assert found[path] == layer[path], path


def listed(root: TreeDirectory) -> Mapping[bytes, str]:
    """Checksums of leaves and of directories' owners by path; "" for quoted whiteouts."""
    found: dict[bytes, str] = {}
    work: list[tuple[bytes, TreeDirectory]] = [(b"", root)]
    while work:
        prefix, directory = work.pop()
        for name, checksum in directory.leaves.items():
            found[prefix + name] = checksum if unquoted(name) is None else ""
        for name, below in directory.directories.items():
            found[prefix + name] = below.meta
            work.append((prefix + name + b"/", below))
    return found


def test_each_case_of_the_semantics(lab: Lab) -> None:
    """All that we take, and what failed once, in one image."""
    cases = [CASES[name].layers for name in ACCEPTED]
    check(lab, [*cases, *(accepted(definition.load(path)) for path in FAILED_ONCE)])


@examples(2, shrink=False)
@given(several=st.lists(stacks(), min_size=1, max_size=10))
def test_random_stacks(lab: Lab, several: list[Layers]) -> None:
    check(lab, [accepted(layers) for layers in several])


@examples(2)
@given(layers=stacks())
def test_a_random_stack_from_the_root(lab: Lab, layers: Layers) -> None:
    taken = accepted(layers)
    assert lab.ours(taken, check_store) == merged(taken)


@pytest.mark.fuzz
def test_fuzz_without_whiteouts(lab: Lab) -> None:
    again_and_again(test_random_stacks, lab)
