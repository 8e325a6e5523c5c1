"""YAML whose scalars are replaced in place: comments, order and quotes stay byte for byte.

PyYAML says where a scalar begins and ends; the text around the replaced ones is never written
anew. (ruamel.yaml, which keeps comments too, writes the whole file again: indents of sequences,
widths of lines and blank lines then follow its own settings.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MERGE = "tag:yaml.org,2002:merge"
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from `start` up to `end` by `text`."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with these replacements, which do not overlap; the same one may repeat."""
    parts, done = [], 0
    for edit in sorted(set(edits), key=lambda one: one.start):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])


def decoded(raw: bytes, origin: str) -> str:
    """Return the text of a file. Raise LayerError if the file is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise LayerError(f"{origin} is not UTF-8") from None


def documents(text: str, origin: str) -> list[Node]:
    """Return the root nodes of the YAML documents. Raise LayerError if the text is not YAML."""
    try:
        found = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise LayerError(f"{origin} is not YAML: {said[:300]}") from None
    except (RecursionError, ValueError) as error:
        raise LayerError(f"{origin} is not YAML that we read: {str(error)[:100]}") from None
    return [node for node in found if node is not None]


def keys(node: Node | None) -> dict[str, Node]:
    """Return a mapping's values by key, merged ones (`<<`) included; {} for another node.

    A mapping that is merged several times, or into itself, counts once.
    """
    found: dict[str, Node] = {}
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, MappingNode) or id(one) in seen:
            continue
        seen.add(id(one))
        own = {key.value: value for key, value in one.value if _is_key(key)}
        found = own | found
        waiting += reversed(list(_merged(one)))
    return found


def _is_key(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.tag != _MERGE


def _merged(node: MappingNode) -> Iterator[Node]:
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from items(value) or [value]


def items(node: Node | None) -> list[Node]:
    """Return a sequence's nodes; [] for another node."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def string(node: Node | None) -> str:
    """Return the text of a string scalar; "" for another node."""
    return node.value if is_string(node) else ""


def is_string(node: Node | None) -> TypeGuard[ScalarNode]:
    """Return whether the node is a string scalar."""
    return isinstance(node, ScalarNode) and node.tag == _STRING


def walk(node: Node) -> Iterator[dict[str, Node]]:
    """Yield the keys of all mappings below the node, each mapping once whatever aliases it has."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, MappingNode):
            yield keys(one)
            waiting += reversed([value for _, value in one.value])
        waiting += reversed(items(one))


def replacing(node: ScalarNode, value: str, origin: str) -> Edit:
    """Return the edit that gives a scalar another value, in the quotes that the scalar has.

    The value is an image's name, digest or reference, which no style has to escape. Raise
    LayerError for a scalar of several lines.
    """
    if node.style in ("|", ">") or node.start_mark.line != node.end_mark.line:
        raise LayerError(f"{origin}: line {node.start_mark.line + 1} is not a value on one line")
    quote = node.style or ""
    return Edit(node.start_mark.index, node.end_mark.index, f"{quote}{value}{quote}")
