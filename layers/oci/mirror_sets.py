"""Translate OpenShift's mirror sets into a registries.conf.

Formats: ImageDigestMirrorSet and ImageTagMirrorSet (config.openshift.io/v1), the older
ImageContentSourcePolicy (operator.openshift.io/v1alpha1); containers-registries.conf(5), version 2.
openshift/runtime-utils pkg/registries translates so, except that here a mirror of tags serves
digests, too: an image whose tag is resolved is fetched by its digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tomlkit

from layers.errors import LayerError
from layers.yaml_text import decoded, documents, items, keys, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from yaml.nodes import Node

# By kind: the key under `spec`, and whether the mirrors are for digests alone.
_KINDS = {
    "ImageDigestMirrorSet": ("imageDigestMirrors", True),
    "ImageTagMirrorSet": ("imageTagMirrors", False),
    "ImageContentSourcePolicy": ("repositoryDigestMirrors", True),
}
_NEVER = "NeverContactSource"
_HINT = f"it can be registries.conf, or YAML of the kinds {', '.join(_KINDS)}"


@dataclass(slots=True)
class _Registry:
    """A source's mirrors. `mirrors` tells of each whether it is for digests alone; of a `blocked`
    source only the mirrors are asked."""

    mirrors: dict[str, bool] = field(default_factory=dict)
    blocked: bool = False


def registries_conf(raw: bytes, origin: str) -> bytes | None:
    """Return mirror sets as a registries.conf, None if the file is no YAML with a `kind`.

    Raise LayerError if the YAML has another kind, or a mirror set has no source or no mirrors.
    """
    text = decoded(raw, origin)
    if "kind:" not in text and '"kind"' not in text:
        return None
    sources: dict[str, _Registry] = {}
    for document in _flat(documents(text, origin)):
        for entry, by_digest in _entries(document, origin):
            _add(sources, entry, origin, by_digest=by_digest)
    return tomlkit.dumps({"registry": [_table(*source) for source in sources.items()]}).encode()


def _flat(nodes: Iterable[Node]) -> Iterable[Mapping[str, Node]]:
    """Yield the objects, and instead of a List, as `oc get` prints it, the items of the List."""
    for node in nodes:
        document = keys(node)
        if string(document.get("kind")) == "List":
            yield from map(keys, items(document.get("items")))
        else:
            yield document


def _entries(
    document: Mapping[str, Node], origin: str
) -> Iterable[tuple[Mapping[str, Node], bool]]:
    kind = string(document.get("kind"))
    if kind not in _KINDS:
        raise LayerError(f"{origin}: {kind[:100] or 'an object without a kind'} sets no mirrors",
                         hint=_HINT)  # fmt: skip
    key, by_digest = _KINDS[kind]
    for entry in items(keys(document.get("spec")).get(key)):
        yield keys(entry), by_digest


def _add(
    sources: dict[str, _Registry], entry: Mapping[str, Node], origin: str, *, by_digest: bool
) -> None:
    source = string(entry.get("source"))
    mirrors = [string(mirror) for mirror in items(entry.get("mirrors"))]
    if not source or not all(mirrors):
        raise LayerError(
            f"{origin}: an entry has no source, or a mirror that is no text", hint=_HINT
        )
    registry = sources.setdefault(source, _Registry())
    for mirror in mirrors:
        registry.mirrors[mirror] = registry.mirrors.get(mirror, True) and by_digest
    registry.blocked |= string(entry.get("mirrorSourcePolicy")) == _NEVER


def _table(source: str, registry: _Registry) -> dict[str, object]:
    place = {"prefix": source} if source.startswith("*.") else {"location": source}
    only = {"pull-from-mirror": "digest-only"}
    mirrors = [
        {"location": mirror, **(only if by_digest else {})}
        for mirror, by_digest in registry.mirrors.items()
    ]
    return {**place, "blocked": registry.blocked, "mirror": mirrors}
