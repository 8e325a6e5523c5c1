"""A kustomization: the manifests that it takes, and the images that it puts into them.

Format: sigs.k8s.io/kustomize api/types/kustomization.go, 5.7 and 5.8. `resources`, the older
`bases`, and `components` are files and directories; `images` change references as
api/filters/imagetag does. Generators of config maps and secrets make no images. Other fields that
may bring or change images are refused, so that the images are those of `kustomize build`.
(kustomize 5.6 leaves images of volumes, and all leave `relatedImages`; both change here.)
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.listed import Listed
from layers.yaml_text import decoded, documents, is_string, items, keys, string

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from yaml.nodes import Node

RENDER = "let kustomize make it: `kubectl kustomize DIR | import-image --from - …`"
_REFUSED = (
    "configurations",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "imageTags",
    "replacements",
    "transformers",
    "vars",
)
_PATCHES = ("patches", "patchesJson6902", "patchesStrategicMerge")
_MOST = 200  # entries: each is compared with each image
_IMAGE = re.compile(r"\bimage\b")
# `name` is a regular expression for kustomize; a name alone has only the dot of these.
_NAME = re.compile(r"[\w.:/-]+", re.ASCII)


@frozen
class ImageEntry:
    """An entry of `images`. A field is "" if the entry does not change it."""

    name: str
    new_name: str
    tag: str
    digest: str

    def put(self, image: Listed) -> Listed:
        """Return the image with this entry's name, tag and digest, if the entry means the image."""
        rest, _, digest = image.source.partition("@")
        head, slash, last = rest.rpartition("/")
        final, _, tag = last.partition(":")
        name = head + slash + final
        if name != self.name:
            return image
        if self.tag or self.digest:
            tag, digest = self.tag, self.digest
        return replace(image, source=_reference(self.new_name or name, tag, digest))

    @property
    def image(self) -> str:
        """Return the reference that the entry makes by itself."""
        return _reference(self.new_name or self.name, self.tag, self.digest)


def _reference(name: str, tag: str, digest: str) -> str:
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


@frozen
class Kustomization:
    """A kustomization's paths, and its entries of `images` in their order."""

    origin: str
    resources: tuple[str, ...]
    components: tuple[str, ...]
    patches: tuple[str, ...]
    images: tuple[ImageEntry, ...]

    def applied(self, images: Sequence[Listed]) -> list[Listed]:
        """Return the manifests' images as `images` changes them."""
        for entry in self.images:
            images = [entry.put(image) for image in images]
        return list(images)

    @property
    def takes_something(self) -> bool:
        """Return whether there are manifests to change. MicroShift's kustomization.<arch>.yaml has
        none: its build appends the file to another."""
        return bool(self.resources or self.components)

    def own_images(self) -> list[Listed]:
        """Return the images that the entries of `images` make by themselves."""
        return [Listed(entry.image, f"{self.origin}: images") for entry in self.images]


def parse_kustomization(raw: bytes, origin: str, limit: int) -> Kustomization:
    """Return the kustomization. Raise LayerError if it is malformed, or has a field that may change
    images in another way than `images`."""
    roots = documents(decoded(raw, origin), origin, limit)
    if len(roots) != 1:
        raise LayerError(f"{origin} is no kustomization: it has {len(roots)} documents of YAML")
    fields = keys(roots[0])
    refused = next((field for field in _REFUSED if field in fields), None)
    if refused is not None:
        raise LayerError(f"{origin} has {refused}, which may change images", hint=RENDER)
    images = items(fields.get("images"))
    if len(images) > _MOST:
        raise LayerError(f"{origin} changes more than {_MOST} images", hint=RENDER)
    return Kustomization(
        origin,
        (*_strings(fields, "resources", origin), *_strings(fields, "bases", origin)),
        tuple(_strings(fields, "components", origin)),
        tuple(_patch_files(fields, origin)),
        tuple(_image_entry(entry, origin) for entry in images),
    )


def _strings(fields: Mapping[str, Node], key: str, origin: str) -> Iterator[str]:
    for item in items(fields.get(key)):
        if not is_string(item) or not item.value.isprintable():
            raise LayerError(f"{origin}: {key} has an entry that is no path")
        yield item.value


def _image_entry(entry: Node, origin: str) -> ImageEntry:
    fields = keys(entry)
    names = ("name", "newName", "newTag", "digest")
    wrong = next((name for name in names if name in fields and not is_string(fields[name])), None)
    if wrong is not None:
        raise LayerError(f"{origin}: a {wrong} in images is no text", hint="write it in quotes")
    made = ImageEntry(*(string(fields.get(name)) for name in names))
    # A suffix is put on twice, but once in a CronJob: kustomize has two filters.
    if "tagSuffix" in fields or not _NAME.fullmatch(made.name):
        raise LayerError(f"{origin}: {made.name[:200]!r} in images is no plain name", hint=RENDER)
    return made


def _patch_files(fields: Mapping[str, Node], origin: str) -> Iterator[str]:
    """Yield the paths of patches. Raise LayerError for a patch in the file that names an image."""
    for key in _PATCHES:
        for patch in items(fields.get(key)):
            written, fields_of = string(patch), keys(patch)
            inline = string(fields_of.get("patch")) or (written if ":" in written else "")
            check_patch(inline, f"{origin}: {key}")
            path = string(fields_of.get("path")) or ("" if inline else written)
            if path:
                yield path


def check_patch(text: str, origin: str) -> None:
    """Raise LayerError for a patch that names an image: only kustomize knows what it does."""
    if _IMAGE.search(text):
        raise LayerError(f"{origin}: a patch may change an image", hint=RENDER)
