"""Files of a node that list images, with the images of a newer release put in: kustomizations, and
CRI-O's configuration.

A kustomization lists images in the field `images` (sigs.k8s.io/kustomize api/types/image.go). In
MicroShift's assets/**/kustomization.<arch>.yaml, which scripts/auto-rebase/rebase.sh writes, it is

    images:
      - name: multus-cni-microshift
        newName: quay.io/openshift-release-dev/ocp-v5.0-art-dev
        digest: sha256:29f3…

`name` is a component's name, or an image's name that an `image-references` file assigns to one
(update_olm_images in rebase.sh), or the entry still has the digest that the component had before.
Where the file repeats an entry's image elsewhere, as `newName@digest` in a patch, that changes too.

CRI-O's configuration has `pause_image` in the table `crio.image` (crio.conf(5)), as MicroShift's
packaging/crio.conf.d/10-microshift_<arch>.conf. rebase.sh takes the component `pod`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.edit import Edit, edited
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import ImageName
from layers.toml_text import editable_toml
from layers.yaml_text import decoded, documents, is_string, items, keys, replacing, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from yaml.nodes import Node

    from layers.release.release import Component, Release

_PAUSE = "pod"
_PAUSE_KEY = "pause_image"
_MOST = 1000  # each entry that changes is looked for in the whole file


@frozen
class Names:
    """Components by other names than their own.

    `images` are components' names by images' names without tag and digest. `before` are pullspecs
    with components' names, of releases that the file may have been made for.
    """

    images: Mapping[str, str]
    before: tuple[tuple[str, str], ...] = ()

    def component(self, name: str, pullspec: str, release: Release) -> Component | None:
        """Return the release's component that a kustomization's entry with this name and image
        means, None if the entry means no component."""
        former = (component for old, component in self.before if old == pullspec)
        names = (self.images.get(name, name), *former)
        return next(filter(None, map(release.components.get, names)), None)


def image_names(raw: bytes, origin: str) -> dict[str, str]:
    """Return component names by image names, of an ImageStream in YAML or JSON, such as
    `image-references` of OLM's repository. Raise LayerError for any other file."""
    names: dict[str, str] = {}
    for document in documents(decoded(raw, origin), origin):
        stream = keys(document)
        if string(stream.get("kind")) != "ImageStream":
            raise LayerError(f"{origin} is no ImageStream", hint="its kind has to say so")
        for tag in map(keys, items(keys(stream.get("spec")).get("tags"))):
            image = string(keys(tag.get("from")).get("name"))
            names[re.split("[@:]", image, maxsplit=1)[0]] = string(tag.get("name"))
    return names


def updated_kustomization(raw: bytes, release: Release, names: Names, origin: str) -> bytes:
    """Return the kustomization with the release's images. An entry that means no component stays.

    Raise LayerError if no entry means a component, or if one that does has no newName and digest.
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
    """Yield edits for the images that the file repeats, as `newName@digest`, outside of `images`.
    `moved` are new images by old ones, "" for an old one that two components had."""
    for old, new in moved.items():
        for match in re.finditer(re.escape(old), text):
            if not new:
                raise LayerError(f"{origin}: {old} stands for two components that now differ")
            yield Edit(match.start(), match.end(), new)


def with_pause_image(raw: bytes, pullspecs: Mapping[str, str], origin: str) -> bytes:
    """Return CRI-O's configuration with the pause image of a release's pullspecs; comments and all
    else stay.

    Raise LayerError if the file is not TOML or sets no pause image, or the release has none.
    """
    if _PAUSE not in pullspecs:
        raise LayerError(
            f"{origin}: the release has no component {_PAUSE}, CRI-O's pause image",
            hint=f"name a source that has it, and let --only and --exclude take {_PAUSE}",
        )
    document = editable_toml(raw, origin)
    table: object = document
    for key in ("crio", "image"):
        table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(table.get(_PAUSE_KEY), str):
        raise LayerError(
            f"{origin} sets no crio.image.{_PAUSE_KEY}",
            hint=f'write {_PAUSE_KEY} = "" under [crio.image]',
        )
    if table[_PAUSE_KEY] != pullspecs[_PAUSE]:
        table[_PAUSE_KEY] = pullspecs[_PAUSE]
    return document.as_string().encode()
