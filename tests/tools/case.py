"""The files of `fixtures/semantics/`: layers, and what is to become of them.

    # why
    device-nodes skip        # where it is not `auto`
    layer
    file foo text=old
    layer
    whiteout foo
    result                   # the last layer as it is stored; its root is always 0555 root:root
    whiteout foo
    merged                   # optional: what all layers show together
    dir  d

In place of `result` there may be one line `refused REGEX`, which the error has to match.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.tools import definition
from tests.tools.definition import Layers
from tests.tools.entry import Entry

SECTION = re.compile(r"^(result|merged|refused)(?: (.*))?$", re.MULTILINE)
DEVICE_NODES = re.compile(r"^device-nodes (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One file. `result` is None where `refused` is a pattern."""

    name: str
    layers: Layers
    result: list[Entry] | None
    merged: list[Entry] | None
    refused: str
    device_nodes: str


def load_case(path: Path) -> Case:
    """The case of a file."""
    text = path.read_text(encoding="utf-8")
    nodes = DEVICE_NODES.search(text)
    text = DEVICE_NODES.sub("", text)
    head, *parts = SECTION.split(text)
    sections = {parts[n]: (parts[n + 1], parts[n + 2]) for n in range(0, len(parts), 3)}
    entries = {
        name: definition.parse("layer\n" + body, str(path))[0]
        for name, (_, body) in sections.items()
    }
    refused = sections.get("refused", ("", ""))[0] or ""
    if ("result" in entries) == bool(refused):
        raise definition.DefinitionError(f"{path}: either a result, or 'refused REGEX'")
    return Case(
        path.stem,
        definition.parse(head, str(path)),
        entries.get("result"),
        entries.get("merged"),
        refused,
        nodes[1] if nodes else "auto",
    )
