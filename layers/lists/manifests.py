"""YAML that names images: a Compose file, Kubernetes manifests, a MicroShift release file.

Formats: the Compose specification, `services.*.image`; Kubernetes' PodSpec wherever it stands, as
in a Pod, a template or a List: `image` in containers, initContainers and ephemeralContainers,
and `image.reference` in volumes (the volume source `image`); `images` of MicroShift's
assets/release/release-<arch>.json.
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


def read_manifests(text: str, origin: str, limit: int) -> SpanList | None:
    """Return the images of a file of one of these kinds, None if the text is of none.

    Raise LayerError if the text is neither YAML nor JSON, or an image is not on one line.
    """
    spans: dict[int, Span] = {}
    known = False
    for document in documents(text, origin, limit):
        top = keys(document)
        if "services" in top:
            nodes = _services(top["services"])
        elif "kind" in top and "apiVersion" in top:
            nodes = _pods(document)
        elif {"release", "images"} <= top.keys():
            nodes = iter(keys(top["images"]).values())
        else:
            continue
        known = True
        for node in nodes:
            span = _span(node, text, origin)
            spans.setdefault(span.start, span)
    return SpanList(text, tuple(spans[start] for start in sorted(spans))) if known else None


def _services(services: Node) -> Iterator[Node]:
    for service in keys(services).values():
        if "image" in (found := keys(service)):
            yield found["image"]


def _pods(document: Node) -> Iterator[Node]:
    seen: set[int] = set()  # what an alias repeats
    for mapping in walk(document):
        for key in _CONTAINERS:
            for container in _new(mapping.get(key), seen):
                if "image" in (found := keys(container)):
                    yield found["image"]
        for volume in _new(mapping.get("volumes"), seen):
            source = keys(keys(volume).get("image"))
            if "reference" in source:
                yield source["reference"]


def _new(node: Node | None, seen: set[int]) -> Iterator[Node]:
    """Yield a sequence's nodes that are not in `seen` by their ids, and add them."""
    if id(node) not in seen:
        seen.add(id(node))
        for one in items(node):
            if id(one) not in seen:
                seen.add(id(one))
                yield one


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
