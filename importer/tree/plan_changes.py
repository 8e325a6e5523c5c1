"""Compute the changes of `import-tree translate` from the result of a walk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.files.beneath import Beneath
from importer.files.xattrs import xattrs_of
from importer.tree.changes import node_at
from importer.tree.entries import WhiteoutForm, hidden_by
from layers.errors import escaped
from layers.ondisk.change import Clear, Fill, Quote, Remove, Times
from layers.path import joined
from layers.tree.lower import each_directory
from layers.tree.overlay_xattrs import without_opaque
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.files.foreign import ForeignDirectory
    from importer.tree.scanned import ScannedTree
    from layers.ondisk.change import Change
    from layers.path import Path
    from layers.tree.translate import Settled


def plan_changes(
    root: ForeignDirectory, scanned: ScannedTree, settled: Settled
) -> tuple[Change, ...]:
    """Return the changes in order: keep the directories' times, give files their data, make quoted
    whiteouts, remove the other forms, then clear the xattrs of opaque directories."""
    present = _quoted(scanned)
    quotes: list[Change] = []
    surplus: list[Path] = []
    for path, directory in each_directory(settled):
        wanted = set(directory.whiteouts)
        there = present.get(path, set())
        quotes += [Quote(path, quoted(name)) for name in sorted(wanted - there)]
        surplus += [(*path, quoted(name)) for name in sorted(there - wanted)]
    with Beneath(root.descriptor) as beneath:
        removals = list(_removals(root, beneath, scanned, surplus))
        clears = list(_clears(root, beneath, scanned))
        changed = sorted({change.directory for change in [*quotes, *removals]})
        times = list(_times(root, beneath, changed))
    return (*times, *scanned.fills, *quotes, *removals, *clears)


def _times(root: ForeignDirectory, beneath: Beneath, changed: Iterable[Path]) -> Iterator[Change]:
    for path in changed:
        with root.entry(joined(path)):
            yield Times(path, max(0, os.fstat(beneath.directory(path)).st_mtime_ns))


def _quoted(scanned: ScannedTree) -> dict[Path, set[bytes]]:
    """Return the names whose quoted whiteouts exist already, by directory."""
    names: dict[Path, set[bytes]] = {}
    for mark in scanned.marks:
        if mark.form is WhiteoutForm.QUOTED:
            names.setdefault(mark.directory, set()).add(hidden_by(mark.name, mark.form))
    return names


def _removals(
    root: ForeignDirectory, beneath: Beneath, scanned: ScannedTree, surplus: list[Path]
) -> Iterator[Change]:
    stay = (WhiteoutForm.QUOTED, WhiteoutForm.OPAQUE)
    paths = [(*mark.directory, mark.name) for mark in scanned.marks if mark.form not in stay]
    for path in sorted([*paths, *surplus]):
        with root.entry(joined(path)):
            node = node_at(beneath.directory(path[:-1]), path[-1])
        yield Remove(path[:-1], path[-1], node)


def _clears(root: ForeignDirectory, beneath: Beneath, scanned: ScannedTree) -> Iterator[Change]:
    """Yield the removal of the xattrs that make a directory opaque, or announce whiteouts."""
    values = {mark.directory: b"x" for mark in scanned.marks if mark.form is WhiteoutForm.XATTR}
    values |= {mark.directory: b"y" for mark in scanned.marks if mark.form is WhiteoutForm.OPAQUE}
    for path, value in sorted(values.items()):
        with root.entry(joined(path)):
            xattrs = xattrs_of(beneath.directory(path))
        for pair in sorted(set(xattrs) - set(without_opaque(xattrs, value))):
            yield Clear(path, *pair)


def shown(change: Change) -> str:
    """Return a change as a line for people: the action and the path. Times are not shown."""
    match change:
        case Quote(directory=directory, name=name):
            return f"make {_path((*directory, name))}"
        case Remove(directory=directory, name=name):
            return f"remove {_path((*directory, name))}"
        case Clear(directory=directory, name=name):
            return f"clear {name.decode()} of {_path(directory) or '.'}"
        case Fill(directory=directory, name=name, source=source):
            return f"fill {_path((*directory, name))} from {_path(source)}"
        case Times():
            return ""


def _path(path: Path) -> str:
    return escaped(joined(path).decode("utf-8", "backslashreplace"))
