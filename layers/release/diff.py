"""Compare two releases, and the layers of their stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.release.release import Component, Release
from layers.release.source_link import compare_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Change:
    """A component that both releases have, in different versions."""

    old: Component
    new: Component

    @property
    def name(self) -> str:
        """Return the component's name."""
        return self.new.name


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """The components that differ, by name. `old` is "" if there was no release before."""

    old: str
    new: str
    added: tuple[Component, ...]
    removed: tuple[Component, ...]
    changed: tuple[Change, ...]
    unchanged: tuple[Component, ...]

    @property
    def is_empty(self) -> bool:
        """Return whether both releases have the same components."""
        return not (self.added or self.removed or self.changed)

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
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
        "compare": compare_url(change.new.source, change.old.commit, change.new.commit) or None,
    }


def compare(old: Release | None, new: Release) -> ReleaseDiff:
    """Compare two releases. `old` is None if there was none."""
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
    """A layer's sizes in bytes: the blob's, and the tar's in it."""

    packed: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of layers, and their bytes."""

    layers: int
    bytes: int

    def document(self) -> dict[str, int]:
        """Return the JSON object."""
        return {"layers": self.layers, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """The layers that are new in the new store, kept from the old one, or no longer needed. In
    unpacked bytes."""

    new: Amount
    kept: Amount
    obsolete: Amount

    def document(self) -> dict[str, dict[str, int]]:
        """Return the JSON object."""
        return {
            "new": self.new.document(),
            "kept": self.kept.document(),
            "obsolete": self.obsolete.document(),
        }


def compare_layers(old: Mapping[str, LayerSize], new: Mapping[str, LayerSize]) -> LayerDiff:
    """Compare the layers of two stores by their ids."""
    return LayerDiff(
        unpacked(new[one] for one in new.keys() - old.keys()),
        unpacked(new[one] for one in new.keys() & old.keys()),
        unpacked(old[one] for one in old.keys() - new.keys()),
    )


def unpacked(sizes: Iterable[LayerSize]) -> Amount:
    """Return the number of layers and the sum of their tars' sizes."""
    listed = [size.unpacked for size in sizes]
    return Amount(len(listed), sum(listed))


def packed(sizes: Iterable[LayerSize]) -> Amount:
    """Return the number of layers and the sum of their blobs' sizes."""
    listed = [size.packed for size in sizes]
    return Amount(len(listed), sum(listed))
