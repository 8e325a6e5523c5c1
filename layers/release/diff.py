"""What differs between two releases, and between the layers of their stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.release.release import Component, Release

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Change:
    """A component that both have, in two versions."""

    old: Component
    new: Component

    @property
    def name(self) -> str:
        """The component's."""
        return self.new.name


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """Components by name; `old` is "" where there was no release before."""

    old: str
    new: str
    added: tuple[Component, ...]
    removed: tuple[Component, ...]
    changed: tuple[Change, ...]
    unchanged: tuple[Component, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both have the same components."""
        return not (self.added or self.removed or self.changed)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "added": [_described(one) for one in self.added],
            "removed": [_described(one) for one in self.removed],
            "changed": [_change(one) for one in self.changed],
            "unchanged": [one.name for one in self.unchanged],
        }


def _described(component: Component) -> dict[str, str | None]:
    return {
        "name": component.name,
        "pullspec": component.pullspec,
        "source": component.source or None,
        "commit": component.commit or None,
    }


def _change(change: Change) -> dict[str, str | None]:
    return {
        "name": change.name,
        "from": change.old.pullspec,
        "to": change.new.pullspec,
        "source": change.new.source or None,
        "from_commit": change.old.commit or None,
        "to_commit": change.new.commit or None,
    }


def compare(old: Release | None, new: Release) -> ReleaseDiff:
    """From the old to the new one."""
    before = old.components if old else {}
    after = new.components
    both = [Change(before[name], after[name]) for name in sorted(before.keys() & after.keys())]
    return ReleaseDiff(
        (old.name or old.version) if old else "",
        new.name or new.version,
        _only(after, before),
        _only(before, after),
        tuple(change for change in both if not change.old.is_image(change.new)),
        tuple(change.new for change in both if change.old.is_image(change.new)),
    )


def _only(these: Mapping[str, Component], those: Mapping[str, Component]) -> tuple[Component, ...]:
    return tuple(these[name] for name in sorted(these.keys() - those.keys()))


@dataclass(frozen=True, slots=True)
class LayerSize:
    """Of a layer in bytes: the blob's, and that of the tar in it."""

    packed: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Amount:
    """So many layers, of so many bytes."""

    layers: int
    bytes: int

    def document(self) -> dict[str, int]:
        """For JSON."""
        return {"layers": self.layers, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """New in the new store and no longer needed there, in unpacked bytes; kept, likewise."""

    new: Amount
    kept: Amount
    obsolete: Amount

    def document(self) -> dict[str, dict[str, int]]:
        """For JSON."""
        return {
            "new": self.new.document(),
            "kept": self.kept.document(),
            "obsolete": self.obsolete.document(),
        }


def compare_layers(old: Mapping[str, LayerSize], new: Mapping[str, LayerSize]) -> LayerDiff:
    """By layer id."""
    return LayerDiff(
        unpacked(new[one] for one in new.keys() - old.keys()),
        unpacked(new[one] for one in new.keys() & old.keys()),
        unpacked(old[one] for one in old.keys() - new.keys()),
    )


def unpacked(sizes: Iterable[LayerSize]) -> Amount:
    """How many, and their tars' sizes."""
    listed = [size.unpacked for size in sizes]
    return Amount(len(listed), sum(listed))


def packed(sizes: Iterable[LayerSize]) -> Amount:
    """How many, and their blobs' sizes."""
    listed = [size.packed for size in sizes]
    return Amount(len(listed), sum(listed))
