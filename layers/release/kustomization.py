"""A kustomization file, with the images of a newer release put in.

Format: the field `images` of kustomize (sigs.k8s.io/kustomize api/types/image.go), in the form of
MicroShift's assets/**/kustomization.<arch>.yaml, which scripts/auto-rebase/rebase.sh writes:

    images:
      - name: multus-cni-microshift
        newName: quay.io/openshift-release-dev/ocp-v5.0-art-dev
        digest: sha256:29f3…

`name` is a component's name, or an image's name that an `image-references` file assigns to one
(update_olm_images in rebase.sh), or the entry still has the digest that the component had before.
Where the file repeats an entry's image elsewhere, as `newName@digest` in a patch, that changes too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.oci.reference import ImageName
from layers.yaml_text import (
    Edit,
    decoded,
    documents,
    edited,
    is_string,
    items,
    keys,
    replacing,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from yaml.nodes import Node

    from layers.release.release import Component, Release

_MOST = 1000  # each entry that changes is looked for in the whole file


@dataclass(frozen=True, slots=True)
class Names:
    """The components that entries' names stand for, beside components' own names.

    `images` are components' names by images' names without tag and digest. `before` are pullspecs
    with components' names, of releases that the file may have been made for.
    """

    images: Mapping[str, str]
    before: tuple[tuple[str, str], ...] = ()

    def component(self, name: str, pullspec: str, release: Release) -> Component | None:
        """Return the release's component that an entry means, None if it means none."""
        known = release.components.get(self.images.get(name, name))
        return known or next(self._formerly(pullspec, release), None)

    def _formerly(self, pullspec: str, release: Release) -> Iterator[Component]:
        for old, name in self.before:
            if old == pullspec and name in release.components:
                yield release.components[name]


def image_names(raw: bytes, origin: str) -> dict[str, str]:
    """Return component names by image names, of an ImageStream in YAML or JSON.

    OLM's repository has such a file, `image-references`. Raise LayerError if it is none.
    """
    found: dict[str, str] = {}
    for document in documents(decoded(raw, origin), origin):
        stream = keys(document)
        if string(stream.get("kind")) != "ImageStream":
            raise LayerError(f"{origin} is no ImageStream", hint="its kind has to say so")
        for tag in map(keys, items(keys(stream.get("spec")).get("tags"))):
            image = string(keys(tag.get("from")).get("name"))
            found[re.split("[@:]", image, maxsplit=1)[0]] = string(tag.get("name"))
    return found


def updated_kustomization(raw: bytes, release: Release, names: Names, origin: str) -> bytes:
    """Return the file with the release's images in place of those that it has.

    An entry that means no component stays. Raise LayerError if no entry means one, or if an
    entry that does has no newName and digest.
    """
    text = decoded(raw, origin)
    entries = [
        keys(entry)
        for document in documents(text, origin)
        for entry in items(keys(document).get("images"))
    ]
    if len(entries) > _MOST:
        raise LayerError(f"{origin} has more than {_MOST} images")
    edits: list[Edit] = []
    moved: dict[str, str] = {}
    for entry in entries:
        old = _pullspec(entry)
        component = names.component(string(entry.get("name")), old, release)
        if component is None:
            continue
        image = _image(component)
        edits += _edits(entry, image, origin)
        if moved.setdefault(old, str(image)) != str(image):
            moved[old] = ""
    if not moved:
        raise LayerError(
            f"{origin} names no component of the release",
            hint="its images have a component's name, or --image-references says which they mean",
        )
    return edited(text, [*edits, *_repeated(text, moved, origin)]).encode()


def _pullspec(entry: Mapping[str, Node]) -> str:
    return f"{string(entry.get('newName'))}@{string(entry.get('digest'))}"


def _image(component: Component) -> ImageName:
    """Return the component's image by digest, or by its tag as long as no digest is known."""
    name = component.reference.name
    if name is None:
        raise LayerError(f"component {component.name} is not in a registry: {component.pullspec}")
    return ImageName.parse(f"{name.repository}@{component.digest}") if component.digest else name


def _edits(entry: Mapping[str, Node], image: ImageName, origin: str) -> Iterator[Edit]:
    for key, value in (("newName", image.repository), ("digest", str(image.digest or ""))):
        node = entry.get(key)
        if not is_string(node):
            raise LayerError(
                f"{origin}: the image {string(entry.get('name'))} has no {key}",
                hint="write newName and digest; a newTag cannot hold a release's image",
            )
        if value:
            yield replacing(node, value, origin)


def _repeated(text: str, moved: Mapping[str, str], origin: str) -> Iterable[Edit]:
    """Yield edits for the images that the file repeats in one piece, outside of `images`."""
    for old, new in moved.items():
        for match in re.finditer(re.escape(old), text):
            if not new:
                raise LayerError(f"{origin}: {old} stands for two components that now differ")
            yield Edit(match.start(), match.end(), new)
