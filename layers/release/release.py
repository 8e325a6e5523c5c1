"""A release: named components, each an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from layers.document import string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from layers.digest import Digest
    from layers.document import Document

_TEXT_MAX = 500


@frozen
class Component:
    """An image of a release, built from a `commit` of the repository with the URL `source`.

    `digest` is the text of the digest that the pullspec resolved to, "" before. `origin` is the
    source that names the component, for errors. `warning` is of the list that names the image.
    """

    name: str
    pullspec: str
    source: str = ""
    commit: str = ""
    digest: str = ""
    origin: str = field(default="", compare=False)
    warning: str = field(default="", compare=False)

    @classmethod
    def of(cls, name: str, fields: Document, origin: str) -> Self:
        """Return the component with these fields of a JSON object. Raise LayerError if the pullspec
        is missing, or a field is no text."""
        return cls(
            name,
            string(fields, "pullspec", origin),
            string(fields, "source", origin, ""),
            string(fields, "commit", origin, ""),
            string(fields, "digest", origin, ""),
            origin,
        )

    def fields(self) -> dict[str, str]:
        """Return the fields for JSON, without empty ones."""
        fields = {
            "pullspec": self.pullspec,
            "digest": self.digest,
            "source": self.source,
            "commit": self.commit,
        }
        return {key: value for key, value in fields.items() if value}

    @property
    def reference(self) -> Reference:
        """Return the parsed pullspec. Raise LayerError if it is malformed."""
        return Reference.parse(self.pullspec)

    def at(self, digest: Digest) -> Component:
        """Return the component, resolved to this digest."""
        return replace(self, digest=str(digest))

    @property
    def known_digest(self) -> str:
        """Return the digest that the pullspec has or resolved to, "" if neither is known."""
        return self.digest or self.pullspec.partition("@")[2]

    def is_image(self, other: Component) -> bool:
        """Return whether both have one pullspec and one digest. An unknown digest equals any."""
        digests = {self.digest, other.digest} - {""}
        return self.pullspec == other.pullspec and len(digests) < 2


@frozen
class Release:
    """The components that sources name. `name`, `version` and `arch` are "" if no source has them;
    `stream` is a release controller's, if one was asked. `of_images`: the components are images of
    a store that is no release's, called after their repositories."""

    components: Mapping[str, Component]
    name: str = ""
    version: str = ""
    arch: str = ""
    stream: str = ""
    of_images: bool = False

    def __post_init__(self) -> None:
        """Raise LayerError for text that belongs in no log, commit or branch name."""
        for text in (self.name, self.version, self.arch, self.stream):
            if not _is_plain(text):
                raise LayerError(f"{text[:100]!r} is no name of a release, nor a version")

    @property
    def pullspecs(self) -> dict[str, str]:
        return {name: component.pullspec for name, component in self.components.items()}

    def chosen(self, only: Sequence[str], exclude: Sequence[str]) -> Release:
        """Return the components that a pattern of `only` matches, all if there is none, without
        those that `exclude` matches. Patterns are fnmatch's; a pattern of `exclude` with a `/`
        matches references, too.

        Raise LayerError if none is left, or a pattern of `only` matches nothing.
        """
        for pattern in only:
            if not any(fnmatchcase(name, pattern) for name in self.components):
                raise LayerError(f"no component matches {pattern!r}", hint=_names(self.components))
        kept = {
            name: component
            for name, component in self.components.items()
            if (not only or _matches(name, only))
            and not _matches(name, exclude)
            and not _matches(component.pullspec, (each for each in exclude if "/" in each))
        }
        if not kept:
            raise LayerError("no component is left to import", hint=_names(self.components))
        return replace(self, components=kept)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _names(components: Mapping[str, Component]) -> str:
    names = sorted(components)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    listed = ", ".join(names[:20])
    return f"the components are {listed}{more}" if names else "the sources name none"


def components(listed: Iterable[Component]) -> dict[str, Component]:
    """Return the components by name. Raise LayerError for a malformed name, and for a name of two
    different images."""
    by_name: dict[str, Component] = {}
    for component in listed:
        _check(component)
        present = by_name.setdefault(component.name, component)
        if present.pullspec != component.pullspec:
            raise LayerError(
                f"component {component.name} is {present.pullspec[:200]} in {present.origin},"
                f" and {component.pullspec[:200]} in {component.origin}",
                hint="a source for one architecture alone is written ARCH=SOURCE",
            )
    return by_name


def _check(component: Component) -> None:
    name, origin = component.name, component.origin
    if not name or " " in name or not _is_plain(name):
        raise LayerError(f"{origin}: {name[:100]!r} is no name of a component")
    for text in (component.source, component.commit, component.digest):
        if not _is_plain(text):
            raise LayerError(f"{origin}: {name}: {text[:100]!r} is no source, and no commit")


def _is_plain(text: str) -> bool:
    """Return whether the text may go to terminals and into metadata: it has neither control
    characters nor surrogates, and is short."""
    return len(text) <= _TEXT_MAX and text.isprintable()


def merged(releases: Sequence[Release]) -> Release:
    """Return one release of all components. Its name, version and architecture are the first that a
    release has."""
    return Release(
        components(component for release in releases for component in release.components.values()),
        next((release.name for release in releases if release.name), ""),
        next((release.version for release in releases if release.version), ""),
        next((release.arch for release in releases if release.arch), ""),
    )
