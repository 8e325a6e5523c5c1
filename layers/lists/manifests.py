"""YAML or JSON that names images: a Compose file, Kubernetes manifests, or OLM's bundles.

Formats: the Compose specification, `services.*.image`; Kubernetes' PodSpec wherever it stands, as
in a Pod, a template or a List: `image` in containers, initContainers and ephemeralContainers,
and `image.reference` in volumes (the volume source `image`); `relatedImages` of OLM's
ClusterServiceVersion, and of the bundles in a file-based catalog (`schema: olm.bundle`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.lists.kustomization import RENDER
from layers.lists.listed import Listed, Span, SpanList, with_defaults
from layers.yaml_text import documents, is_string, items, keys, replacing, string, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from yaml.nodes import Node

    # A node with an image's name, and `Listed.always` and `Listed.unset`.
    type _Image = tuple[Node, str, str]

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def read_manifests(text: str, origin: str, limit: int) -> SpanList:
    """Return the images of the file. Raise LayerError if the text is neither YAML nor JSON, has
    none of the kinds, or if an image is not on one line."""
    spans: dict[int, Span] = {}
    is_known = False
    for document in documents(text, origin, limit):
        top = keys(document)
        if "services" in top:
            images = _services(top["services"])
        elif string(top.get("apiVersion")).startswith("kustomize.config.k8s.io/"):
            raise LayerError(f"{origin} is a kustomization, which names other files", hint=RENDER)
        elif ("kind" in top and "apiVersion" in top) or string(top.get("schema"))[:4] == "olm.":
            images = _kubernetes(document)
        else:
            continue
        is_known = True
        for node, always, unset in images:
            span = _span(node, text, origin, always, unset)
            spans.setdefault(span.start, span)
    if not is_known:
        raise LayerError(f"{origin} is YAML or JSON of no kind that we know")
    return SpanList(text, tuple(spans[start] for start in sorted(spans)))


def _services(services: Node) -> Iterator[_Image]:
    for service in map(keys, keys(services).values()):
        if "image" in service:
            always = string(service.get("pull_policy")) == "always"
            yield service["image"], "pull_policy: always" if always else "", ""


def _kubernetes(document: Node) -> Iterator[_Image]:
    seen: set[int] = set()  # aliases repeat nodes
    for mapping in walk(document):
        for key in _CONTAINERS:
            for container in map(keys, _new(mapping.get(key), seen)):
                if "image" in container:
                    yield container["image"], *_policy(container, "imagePullPolicy")
        for volume in _new(mapping.get("volumes"), seen):
            source = keys(keys(volume).get("image"))
            if "reference" in source:
                yield source["reference"], *_policy(source, "pullPolicy")
        for related in map(keys, _new(mapping.get("relatedImages"), seen)):
            if "image" in related:
                yield related["image"], "", ""


def _policy(fields: Mapping[str, Node], name: str) -> tuple[str, str]:
    """Return `Listed.always` and `Listed.unset`."""
    policy = string(fields.get(name))
    return f"{name}: Always" if policy == "Always" else "", "" if policy else name


def _new(node: Node | None, seen: set[int]) -> Iterator[Node]:
    """Yield a sequence's nodes that are not in `seen` by their ids, and add them."""
    if id(node) not in seen:
        seen.add(id(node))
        for item in items(node):
            if id(item) not in seen:
                seen.add(id(item))
                yield item


def _span(node: Node, text: str, origin: str, always: str, unset: str) -> Span:
    where = f"{origin}:{node.start_mark.line + 1}"
    if not is_string(node):
        raise LayerError(f"{where}: the image is not text")
    edit = replacing(node, node.value, origin)
    quote = text[edit.start] if text[edit.start] in "'\"" else ""
    source = with_defaults(node.value, where)
    image = Listed(source, where, always=always, unset=unset)
    return Span(image, edit.start, edit.end, quote)
