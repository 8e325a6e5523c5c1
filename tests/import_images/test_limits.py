"""What images may come to together, and what we make of them: a bomb stays small."""

from pathlib import Path

import pytest

from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Outcome, imported, run_import
from tests.tools.importrelease import run_release
from tests.tools.ostreerepo import init, refs
from tests.tools.releaseworld import World
from tests.tools.tarbuild import Entry

MIB = 1 << 20


def refused(outcome: Outcome, says: str, hint: str) -> None:
    assert outcome.status == 1, outcome
    assert says in "\n".join(outcome.said("error"))
    assert hint in "\n".join(outcome.said("hint"))


@pytest.fixture
def linked(layout: Path) -> BuiltImage:
    """A kilobyte of blob: one file of a MiB, and forty hard links to it."""
    links = [Entry(b"l%d" % n, "hardlink", link=b"file") for n in range(40)]
    return build_oci(
        layout, "linked", [[Entry(b"file", content=bytes(MIB)), *links], [Entry(b"x")]]
    )


def test_a_flattened_layer_has_the_limits_of_a_layer(repo: Path, linked: BuiltImage) -> None:
    """A tar without hard links, as a flattened one is, has the file forty-one times."""
    reference = f"oci:{linked.directory}:linked"
    assert run_import(repo, reference, config={"max-layer-size": "30M"}).status == 0
    outcome = run_import(repo, "--flatten", reference, config={"max-layer-size": "30M"})
    refused(outcome, "unpacks to more than 31457280 bytes", "max-layer-size")
    assert "linked, flattened: " in outcome.said("error")[0]
    outcome = run_import(repo, "--flatten", reference, config={"max-layer-entries": "41"})
    refused(outcome, "more than 41 entries", "max-layer-entries")
    assert imported(repo, "--flatten", reference, config={"max-layer-entries": "42"})["commit"]


def test_flattened_layers_have_the_limits_of_the_call(repo: Path, linked: BuiltImage) -> None:
    reference = f"oci:{linked.directory}:linked"
    imported(repo, reference)
    outcome = run_import(repo, "--flatten", reference, config={"max-size": "30M"})
    refused(outcome, "of this call unpack to more than 31457280 bytes together", "max-size")
    outcome = run_import(repo, "--flatten", reference, config={"max-entries": "41"})
    refused(outcome, "of this call have more than 41 entries together", "max-entries")


def test_flattened_images_of_all_branches_count(repo: Path, layout: Path) -> None:
    """Two images of six entries each, and a third with the layers of the first."""
    layers = {tag: [[Entry(b"%d" % n) for n in range(5)], [Entry(tag)]] for tag in (b"a", b"b")}
    build_oci(layout, "a", layers[b"a"])
    build_oci(layout, "b", layers[b"b"])
    build_oci(layout, "c", layers[b"a"], config={"Cmd": ["c"]})
    references = [f"r.io/{tag}:1=oci:{layout}:{tag}" for tag in "abc"]
    imported(repo, *references)
    outcome = run_import(repo, "--flatten", *references, config={"max-entries": "11"})
    refused(outcome, "of this call have more than 11 entries together", "max-entries")
    assert f"{layout}:b, flattened: " in outcome.said("error")[0]
    again = init(repo.with_name("again"))
    imported(again, *references)
    imported(again, "--flatten", *references, config={"max-entries": "12"})


@pytest.fixture
def three(layout: Path) -> BuiltImage:
    """Three layers of a MiB and twenty files each."""
    layers = [
        [
            Entry(b"f%d" % n, content=bytes([n]) * MIB),
            *(Entry(b"%d-%d" % (n, m)) for m in range(19)),
        ]
        for n in range(3)
    ]
    return build_oci(layout, "three", layers)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"max-size": "2500K"}, "unpack to more than 2560000 bytes together"),
        ({"max-entries": "50"}, "have more than 50 entries together"),
    ],
)
def test_layers_have_limits_together(
    repo: Path, three: BuiltImage, config: dict[str, str], says: str
) -> None:
    """None of them alone breaks it; what is here already does not count."""
    reference = f"oci:{three.directory}:three"
    refused(run_import(repo, reference, config=config), says, *config)
    assert [ref for ref in refs(repo) if ref.startswith("oci/image")] == []
    imported(repo, reference)
    assert run_import(repo, reference, config=config).status == 0


def test_one_layer_that_is_more_than_the_call_may_have(repo: Path, three: BuiltImage) -> None:
    outcome = run_import(repo, f"oci:{three.directory}:three", config={"max-size": "1M"})
    refused(outcome, "unpack to more than 1048576 bytes together", "max-size")
    outcome = run_import(repo, f"oci:{three.directory}:three", config={"max-entries": "5"})
    refused(outcome, "have more than 5 entries together", "max-entries")


def test_a_release_has_limits_for_all_its_images(repo: Path, world: World, tmp_path: Path) -> None:
    outcome = run_release(repo, *world.file(world.first, tmp_path), config={"max-size": "50K"})
    refused(outcome, "unpack to more than 51200 bytes together", "max-size")
