"""Read the files that name a release's images. The content tells the format.

Formats: `oc adm release info -o json` (openshift/oc pkg/cli/admin/release/info.go, `type
ReleaseInfo`); an ImageStream (openshift/api image/v1), as a payload's
`release-manifests/image-references`; the release controller's API (openshift/release-controller,
`type APITag`); and all that `layers.lists` reads, MicroShift's release files among them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from layers.architecture import go_arch
from layers.document import Document, array, mapping, string
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.lists.detect import KINDS, is_manifest, json_object, read_list
from layers.lists.microshift_json import ReleaseFile
from layers.oci.reference import ImageName
from layers.release.release import Component, Release, components

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.lists.detect import ListRules
    from layers.lists.listed import Listed, ListFile

_COMMIT = "io.openshift.build.commit.id"
_SOURCE = "io.openshift.build.source-location"
_KINDS = f"the JSON of `oc adm release info`, an ImageStream, {KINDS}"


@frozen
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
    with within(hint=f"it can be {_KINDS}"):
        document = json_object(raw, origin, rules.size) or {}
    if document.get("kind") == "ImageStream":
        return image_stream(document, origin)
    if "references" in document:
        return _release_info(document, origin)
    if "pullSpec" in document:
        return (_answer(document, origin),)
    if "tags" in document and not is_manifest(document):
        return tuple(_answer(tag, origin) for tag in _objects(document, "tags", origin))
    return listed_release(read_list(raw, origin, rules.size, _KINDS), rules)


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
    place = f"{origin}: {name[:100]}"
    source = mapping(tag, "from", place)
    if source.get("kind") != "DockerImage":
        raise LayerError(f"{place} is no DockerImage, but {str(source.get('kind'))[:100]}")
    annotations = mapping(tag, "annotations", place, {})
    return replace(
        _component(name, string(source, "name", place), origin),
        source=string(annotations, _SOURCE, place, ""),
        commit=string(annotations, _COMMIT, place, ""),
    )


def _component(name: str, pullspec: str, origin: str) -> Component:
    """Return a component. Raise LayerError for an image in no registry: a document from elsewhere
    must not name files of this machine."""
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


def listed_release(file: ListFile, rules: ListRules) -> Release:
    """Return the release of a file's images. Raise LayerError for an image that the rules refuse.

    The component of an image is called what the list calls the image, otherwise after its
    repository, so that a new tag is a change of the component. Of several images of one repository,
    each is called by its reference.
    """
    if isinstance(file, ReleaseFile):
        pullspecs = file.components.items()
        listed = (_component(name, pullspec, file.origin) for name, pullspec in pullspecs)
        return Release(components(listed), file.base, file.base)
    images = file.images
    repositories = [_repository(image, rules) for image in images]
    counts = Counter(
        repository for image, repository in zip(images, repositories, strict=True) if not image.name
    )
    differ = len({image.source for image in images}) > 1
    names = [
        image.source if differ and counts[repository] > 1 else repository
        for image, repository in zip(images, repositories, strict=True)
    ]
    return Release(
        components(
            Component(image.name or name, image.source, origin=image.where, warning=image.warning)
            for image, name in zip(images, names, strict=True)
        )
    )


def _repository(image: Listed, rules: ListRules) -> str:
    reference = image.reference(rules.transports)
    return reference.name.repository if reference.name else str(reference)
