"""YAML or JSON that names images: a Compose file, or Kubernetes manifests.

Formats: the Compose specification, `services.*.image`; Kubernetes' PodSpec wherever it stands, as
in a Pod, a template or a List: `image` in containers, initContainers and ephemeralContainers,
and `image.reference` in volumes (the volume source `image`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.lists.listed import Listed, Span, SpanList
from layers.yaml_text import documents, is_string, items, keys, replacing, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.nodes import Node

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def read_manifests(text: str, origin: str, limit: int) -> SpanList:
    """Return the images of the file. Raise LayerError if the text is neither YAML nor JSON, has
    neither kind, or if an image is not on one line."""
    spans: dict[int, Span] = {}
    is_known = False
    for document in documents(text, origin, limit):
        top = keys(document)
        if "services" in top:
            nodes = _services(top["services"])
        elif "kind" in top and "apiVersion" in top:
            nodes = _pods(document)
        else:
            continue
        is_known = True
        for node in nodes:
            span = _span(node, text, origin)
            spans.setdefault(span.start, span)
    if not is_known:
        raise LayerError(f"{origin} is YAML or JSON of no kind that we know")
    return SpanList(text, tuple(spans[start] for start in sorted(spans)))


def _services(services: Node) -> Iterator[Node]:
    for service in keys(services).values():
        image = keys(service).get("image")
        if image is not None:
            yield image


def _pods(document: Node) -> Iterator[Node]:
    seen: set[int] = set()  # aliases repeat nodes
    for mapping in walk(document):
        for key in _CONTAINERS:
            for container in _new(mapping.get(key), seen):
                image = keys(container).get("image")
                if image is not None:
                    yield image
        for volume in _new(mapping.get("volumes"), seen):
            source = keys(keys(volume).get("image"))
            if "reference" in source:
                yield source["reference"]


def _new(node: Node | None, seen: set[int]) -> Iterator[Node]:
    """Yield a sequence's nodes that are not in `seen` by their ids, and add them."""
    if id(node) not in seen:
        seen.add(id(node))
        for item in items(node):
            if id(item) not in seen:
                seen.add(id(item))
                yield item


def _span(node: Node, text: str, origin: str) -> Span:
    where = f"{origin}:{node.start_mark.line + 1}"
    if not is_string(node):
        raise LayerError(f"{where}: the image is not text")
    if "$" in node.value:
        raise LayerError(f"{where}: {node.value[:200]!r} has a variable",
                         hint="write its value, as `docker compose config` does")  # fmt: skip
    edit = replacing(node, node.value, origin)
    quote = text[edit.start] if text[edit.start] in "'\"" else ""
    return Span(Listed(node.value, where), edit.start, edit.end, quote)
