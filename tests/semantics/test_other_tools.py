"""What docs/semantics.md says of umoci and podman, asked of them, so that no row can be wrong.

A cell says "same" where the tool does what we do, "fails" where it fails, and anything else
where it does something else. Each definition of a row has to do one of these.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest

from layers.errors import LayerError
from tests.semantics.test_corpora import BLOBS, media_type_of, tar_of
from tests.semantics.test_semantics import CASES, read, rows_of_tables
from tests.tools import umoci
from tests.tools.entry import Entry
from tests.tools.image import LayerSource, Packed, build_oci
from tests.tools.lab import shown, shown_by_podman
from tests.tools.podman import new_podman
from tests.tools.process import CommandError
from tests.tools.stack import Listing, Stack
from tests.tools.tarbuild import tar_bytes

pytestmark = pytest.mark.root

type Outcome = Literal["same", "fails", "other"]
#: A row's first cell, and the names of its definitions and blobs.
ROWS = [
    pytest.param(row, known, id=known[0])
    for row, names in rows_of_tables()
    if (known := [name for name in names if name in CASES or name in BLOBS])
]
#: What a cell says of a tool that takes a layer and cannot write its tar again.
NO_EXPORT = ", but cannot export"
BROKEN: Listing = {b"broken entry": ("", 0, 0, 0, {}, b"")}


def layers_of(name: str) -> Sequence[LayerSource]:
    """The layers of a definition, or the one that is the blob of this name."""
    if name in CASES:
        return CASES[name].layers
    return [Packed(tar_of(name), BLOBS[name][1], media_type_of(name))]


def of_ours(name: str) -> Listing | None:
    """What we show; None where we refuse the last layer."""
    if name in BLOBS and BLOBS[name][2]:
        return None
    try:
        if name in CASES:
            return read(CASES[name]).merged()
        stack = Stack()
        stack.add(tar_of(name))
    except LayerError:
        return None
    return stack.merged()


def of_umoci(layers: Sequence[LayerSource], space: Path) -> Listing | None:
    """What umoci unpacks; None if it fails."""
    build_oci(space / "oci", "t", layers, compression="none")
    try:
        return shown(umoci.unpack(space / "oci", "t", space / "root"))
    except CommandError:
        return None


def of_podman(layers: Sequence[LayerSource], space: Path) -> Listing | None:
    """What podman's store shows; None if podman fails."""
    try:
        return shown_by_podman(layers, space)
    except FileNotFoundError:
        return BROKEN


def outcome(
    name: str, tool: Callable[[Sequence[LayerSource], Path], Listing | None], space: Path
) -> set[Outcome]:
    """How what the tool does compares with what we do. A tool that fails where we refuse the
    layer does the same."""
    space.mkdir()
    ours, theirs = of_ours(name), tool(layers_of(name), space)
    shutil.rmtree(space)
    if theirs is None:
        return {"fails"} if ours is not None else {"fails", "same"}
    return {"same"} if theirs == ours else {"other"}


def claims(cell: str) -> set[Outcome]:
    """What a cell says."""
    said: set[Outcome] = set()
    for part in re.split(r"[;,]", cell.replace(NO_EXPORT, "")):
        words = set(re.findall(r"\w+", part))
        fails = {"fails", "fail", "unknown"} & words
        said.add("same" if "same" in words else "fails" if fails else "other")
    return said


@pytest.mark.parametrize(("row", "names"), ROWS)
def test_the_tools_do_what_the_row_says(row: str, names: list[str], tmp_path: Path) -> None:
    _, _, _, of_one, of_other, *_ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row))
    cells = {"umoci": of_one, "podman": of_one if of_other == "the same" else of_other}
    tools = {"umoci": of_umoci, "podman": of_podman}
    wrong = [
        f"{tool}, {name}: {cells[tool]!r} is {found}"
        for tool in tools
        for name in names
        if not (found := outcome(name, tools[tool], tmp_path / name)) & claims(cells[tool])
    ]
    assert "\n".join(wrong) == ""


NOT_EXPORTED: dict[str, Sequence[LayerSource]] = {
    # By rows, and by the section about tar-split.
    **{
        name: layers_of(name)
        for row, names in rows_of_tables()
        for name in names
        if NO_EXPORT in row and (name in CASES or name in BLOBS)
    },
    **{name: layers_of(name) for name in ("whiteout-with-content", "path-out-of-root")},
    "directory-with-a-size": [tar_bytes([Entry(b"a", "dir", claimed_size=100)])],
}


@pytest.mark.parametrize("name", NOT_EXPORTED)
def test_what_podman_takes_and_cannot_export(name: str, tmp_path: Path) -> None:
    built = build_oci(tmp_path / "oci", "t", NOT_EXPORTED[name], compression="none")
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", f"oci:{tmp_path}/oci:t")
    with pytest.raises(CommandError):
        podman("push", "--quiet", built.image_id, f"dir:{tmp_path}/dir")
