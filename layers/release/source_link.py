"""The source of a component: its repository, by the image's labels, and pages of its commits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from layers.document import mapping, parse_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.oci.config import ImageConfig
    from layers.release.release import Component, Release
    from layers.storage.image import Image

# Link only URLs that match a known forge; the text is untrusted.
_FORGE = re.compile(r"https://(github\.com|gitlab\.com)/[\w./-]+[\w-]", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
# Source and commit: OpenShift's labels (openshift-eng/doozer), then image-spec annotations.md.
_LABELS = (
    ("io.openshift.build.source-location", "io.openshift.build.commit.id"),
    ("org.opencontainers.image.source", "org.opencontainers.image.revision"),
)
_LONGEST = 500


def labelled_source(config: ImageConfig) -> tuple[str, str]:
    """Return the URL and the commit of the source from an image's labels, "" without a label."""
    inner = mapping(parse_document(config.raw, "the config"), "config", "the config", {})
    labels = mapping(inner, "Labels", "the config", {})
    for source, commit in _LABELS:
        if source in labels:
            return _plain(labels[source]), _plain(labels.get(commit))
    return "", ""


def _plain(value: object) -> str:
    fits = isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
    return str(value) if fits else ""


def compare_url(source: str, old: str, new: str) -> str:
    """Return the page of the changes between two commits, "" if the forge is unknown."""
    base = _base(source)
    if not base or old == new or not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
        return ""
    return f"{base}/compare/{old}...{new}"


def commit_url(source: str, commit: str) -> str:
    """Return the page of a commit, "" if the forge is unknown."""
    base = _base(source)
    return f"{base}/commit/{commit}" if base and _COMMIT.fullmatch(commit) else ""


def is_forge(source: str) -> bool:
    """Return whether the source is on a forge whose pages are known."""
    return bool(_base(source))


def _base(source: str) -> str:
    match = _FORGE.fullmatch(source.removesuffix(".git").removesuffix("/"))
    if match is None:
        return ""
    return match[0] if match[1] == "github.com" else f"{match[0]}/-"


def resolved(release: Release, images: Mapping[str, Image]) -> Release:
    """Return the release with only the components that have an image, pinned to its digest.

    If the sources give neither repository nor commit of a component, its image's labels do.
    """
    components = {
        name: _labelled(component, images[name]).at(images[name].digest)
        for name, component in release.components.items()
        if name in images
    }
    return replace(release, components=components)


def _labelled(component: Component, image: Image) -> Component:
    if component.source or component.commit:
        return component
    source, commit = labelled_source(image.config)
    return replace(component, source=source, commit=commit)
