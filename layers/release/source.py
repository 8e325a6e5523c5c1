"""Read the files that name a release's images. The content tells the format.

Formats: MicroShift's assets/release/release-<arch>.json and the optional components' files; `oc adm
release info -o json` (openshift/oc pkg/cli/admin/release/info.go, `type ReleaseInfo`); an
ImageStream (openshift/api image/v1), as a payload's `release-manifests/image-references`; the
release controller's API (openshift/release-controller, `type APITag`); a list.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from layers.architecture import go_arch
from layers.document import Document, array, mapping, parse_document, string
from layers.errors import LayerError
from layers.lists.kinds import KINDS
from layers.oci.reference import ImageName
from layers.release.release import Component, Release, components

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from layers.lists.listed import Listed
    from layers.lists.rules import ListRules

_COMMIT = "io.openshift.build.commit.id"
_SOURCE = "io.openshift.build.source-location"
_JSON_WORDS = (b"null", b"true", b"false")
_KINDS = f"a MicroShift release file, `oc adm release info -o json`, an ImageStream, {KINDS}"


@dataclass(frozen=True, slots=True)
class ControllerAnswer:
    """A release controller's answer about one release."""

    name: str
    phase: str
    pullspec: str


type Answers = tuple[ControllerAnswer, ...]


def parse_source(raw: bytes, origin: str, rules: ListRules) -> Release | Answers:
    """Return the release that a file contains, or a release controller's answers, newest first.
    `origin` names the file in errors. JSON of a release names registries alone, whatever `rules`
    allow a list.

    Raise LayerError if the file has none of the formats. A controller's answer only names payloads.
    """
    raw = raw.removeprefix(BOM_UTF8)  # as editors elsewhere put it in front
    text = raw.strip()
    if text.startswith(b"<"):
        raise LayerError(f"{origin} is HTML or XML", hint="is it the page of a log-in?")
    if text in _JSON_WORDS or (text.startswith((b"[", b'"')) and _is_json(text)):
        raise LayerError(f"{origin} is JSON, but no object", hint=f"it can be {_KINDS}")
    if not text.startswith(b"{"):
        return _list(raw, origin, rules)
    document = parse_document(raw, origin)
    if document.get("kind") == "ImageStream":
        return image_stream(document, origin)
    if "references" in document:
        return _release_info(document, origin)
    if "images" in document:
        return _microshift(document, origin)
    if "pullSpec" in document:
        return (_answer(document, origin),)
    if "services" in document or {"kind", "apiVersion"} <= document.keys():
        return _list(raw, origin, rules)
    if "tags" in document:
        return tuple(_answer(one, origin) for one in _objects(document, "tags", origin))
    raise LayerError(f"{origin} is no release that we know", hint=f"it can be {_KINDS}")


def _is_json(text: bytes) -> bool:
    """Return whether the text is JSON. Quadlet units and TOML begin with a bracket, too."""
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _microshift(document: Document, origin: str) -> Release:
    images = mapping(document, "images", origin)
    found = [_component(name, string(images, name, origin), origin) for name in images]
    base = string(mapping(document, "release", origin, {}), "base", origin, "")
    return Release(components(found), base, base)


def _release_info(document: Document, origin: str) -> Release:
    stream = image_stream(mapping(document, "references", origin), origin)
    version = string(mapping(document, "metadata", origin, {}), "version", origin, "")
    arch = string(mapping(document, "config", origin, {}), "architecture", origin, "")
    return Release(stream.components, stream.name, version or stream.version, go_arch(arch))


def image_stream(document: Document, origin: str) -> Release:
    """Return the release of an ImageStream, which has its name. Raise LayerError if it is
    malformed."""
    if document.get("kind") != "ImageStream":
        raise LayerError(f"{origin}: kind is not ImageStream")
    name = string(mapping(document, "metadata", origin, {}), "name", origin, "")
    tags = _objects(mapping(document, "spec", origin), "tags", origin)
    return Release(components(_tag(tag, origin) for tag in tags), name, name)


def _tag(tag: Document, origin: str) -> Component:
    name = string(tag, "name", origin)
    what = f"{origin}: {name[:100]}"
    source = mapping(tag, "from", what)
    if source.get("kind") != "DockerImage":
        raise LayerError(f"{what} is no DockerImage, but {str(source.get('kind'))[:100]}")
    said = mapping(tag, "annotations", what, {})
    component = _component(name, string(source, "name", what), origin)
    return Component(
        name,
        component.pullspec,
        string(said, _SOURCE, what, ""),
        string(said, _COMMIT, what, ""),
        origin=origin,
    )


def _component(name: str, pullspec: str, origin: str) -> Component:
    """Return a component. Only registries are allowed: a document from elsewhere must not name
    files of this machine."""
    try:
        ImageName.parse(pullspec)
    except LayerError as error:
        raise LayerError(f"{origin}: {name[:100]}: {error.message}") from None
    return Component(name, pullspec, origin=origin)


def _answer(document: Document, origin: str) -> ControllerAnswer:
    pullspec = string(document, "pullSpec", origin)
    return ControllerAnswer(
        string(document, "name", origin),
        string(document, "phase", origin),
        _component("pullSpec", pullspec, origin).pullspec,
    )


def _objects(document: Document, key: str, origin: str) -> Iterator[Document]:
    for value in array(document, key, origin):
        if not isinstance(value, dict):
            raise LayerError(f"{origin}: {key} has an entry that is no object")
        yield value


def _list(raw: bytes, origin: str, rules: ListRules) -> Release:
    """Return the images of a list in any of the formats of `layers.lists`."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise LayerError(f"{origin} is not text", hint=f"it can be {_KINDS}") from None
    from layers.lists.detect import parse_list  # loads readers of YAML and TOML

    try:
        images = parse_list(raw, origin, rules.size).images
        found = [_ListedImage.of(one, rules) for one in images]
        if not found:
            raise LayerError(f"{origin} is empty: it lists no image")
    except LayerError as error:
        raise error.within(hint=f"it can be {_KINDS}") from None
    counts = Counter(one.default for one in found if not one.name)
    texts = {one.text for one in found}
    several = {name for name, count in counts.items() if count > 1 and len(texts) > 1}
    return Release(components(one.component(several) for one in found))


@dataclass(frozen=True, slots=True)
class _ListedImage:
    """An image of a list. `name` is what the list calls it or "", `default` is the name of its
    component otherwise: its repository, so that a new tag is a change of it."""

    name: str
    default: str
    text: str
    where: str

    @classmethod
    def of(cls, image: Listed, rules: ListRules) -> Self:
        """Parse an image's reference. Raise LayerError as `Listed.reference` does."""
        reference = image.reference(rules.transports)
        repository = reference.name.repository if reference.name else str(reference)
        return cls(image.name, repository, image.source, image.where)

    def component(self, several: Container[str]) -> Component:
        """Return the component. Images of repositories in `several` need their tags to differ."""
        name = self.text if self.default in several else self.default
        return Component(self.name or name, self.text, origin=self.where)
