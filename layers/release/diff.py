"""Compare two releases, and the layers of their stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from layers.frozen import frozen
from layers.release.release import Component, Release
from layers.release.source_link import compare_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@frozen
class Change:
    """A component that both releases have, in different versions."""

    old: Component
    new: Component

    @property
    def name(self) -> str:
        return self.new.name

    def document(self) -> dict[str, object]:
        old, new = self.old, self.new
        return {
            "name": new.name,  # the component
            "from": old.pullspec,  # the image before
            "to": new.pullspec,  # the image now
            "source": new.source or None,  # the repository of its source, or `null`
            "from_commit": old.commit or None,  # the source's commit before, or `null`
            "to_commit": new.commit or None,  # the source's commit now, or `null`
            # the page with the source's commits between the two builds, or `null`
            "compare": compare_url(new.source, old.commit, new.commit) or None,
        }


@frozen
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

    def document(self) -> dict[str, object]:
        return {
            # [component_keys]: the components that are new
            "added": [component_keys(component) for component in self.added],
            # [component_keys]: the components that are gone
            "removed": [component_keys(component) for component in self.removed],
            "changed": self.changed,  # [Change]: the components with another image
            # the names of the others
            "unchanged": [component.name for component in self.unchanged],
        }


def component_keys(component: Component) -> dict[str, object]:
    return {
        "name": component.name,  # the component
        "pullspec": component.pullspec,  # its image
        "source": component.source or None,  # the repository of its source, or `null`
        "commit": component.commit or None,  # the source's commit, or `null`
    }


def compare(old: Release | None, new: Release) -> ReleaseDiff:
    """Compare two releases. `old` is None if there was none."""
    before = _named_as(new, old) if old else {}
    after = _named_as(old, new) if old else new.components
    both = [Change(before[name], after[name]) for name in sorted(before.keys() & after.keys())]
    return ReleaseDiff(
        (old.name or old.version) if old else "",
        new.name or new.version,
        _only(after, before),
        _only(before, after),
        tuple(change for change in both if not change.old.is_image(change.new)),
        tuple(change.new for change in both if change.old.is_image(change.new)),
    )


def _named_as(other: Release, release: Release) -> Mapping[str, Component]:
    """Return the release's components. If they are images of a store, an image that `other` has as
    well gets its name in `other`."""
    if not release.of_images or other.of_images:
        return release.components
    digests = {component.known_digest for component in release.components.values()} - {""}
    named = {
        name: component
        for name, component in other.components.items()
        if component.known_digest in digests
    }
    theirs = {component.known_digest for component in named.values()}
    return named | {
        name: component
        for name, component in release.components.items()
        if component.known_digest not in theirs
    }


def _only(
    components: Mapping[str, Component], others: Mapping[str, Component]
) -> tuple[Component, ...]:
    return tuple(components[name] for name in sorted(components.keys() - others.keys()))


@frozen
class LayerSize:
    """A layer's sizes in bytes: the blob's, and the tar's in it."""

    packed: int
    unpacked: int


@frozen
class Amount:
    """A number of layers, and their bytes."""

    layers: int  # a number of layers
    bytes: int  # their bytes

    @classmethod
    def of(cls, sizes: Iterable[int]) -> Self:
        listed = [*sizes]
        return cls(len(listed), sum(listed))


@frozen
class LayerDiff:
    """The layers of two stores, in unpacked bytes."""

    new: Amount  # Amount: the new side alone has them
    kept: Amount  # Amount: both sides have them
    obsolete: Amount  # Amount: the old side alone has them


def compare_layers(old: Mapping[str, LayerSize], new: Mapping[str, LayerSize]) -> LayerDiff:
    """Compare the layers of two stores by their ids."""
    return LayerDiff(
        Amount.of(new[layer].unpacked for layer in new.keys() - old.keys()),
        Amount.of(new[layer].unpacked for layer in new.keys() & old.keys()),
        Amount.of(old[layer].unpacked for layer in old.keys() - new.keys()),
    )
