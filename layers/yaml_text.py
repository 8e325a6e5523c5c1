"""Parse YAML from outside, within bounds, and replace scalars in its text.

All else, comments, order and quotes, stays byte for byte: PyYAML tells where a scalar begins and
ends. (ruamel.yaml, which keeps comments too, writes the whole file again: indents of sequences,
widths of lines and blank lines then follow its own settings.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from layers.document import MAX_TEXT_SIZE
from layers.edit import Edit
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MERGE = "tag:yaml.org,2002:merge"
NULL = "tag:yaml.org,2002:null"
_STRING = "tag:yaml.org,2002:str"
# Real files stay far below. PyYAML makes some 70,000 nodes a second, of a kilobyte each; aliases
# and merges stand for all that they name, so that their products count.
_MOST_NODES = 50_000
_MOST_ENTRIES = 10_000
_MOST_ALIASES = 1000
_MOST_MERGED = 100
_DEEPEST = 100
# YAML 1.2, 6.9: an anchor, a tag or both in front of a value, which PyYAML takes for part of it.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_HINT = "is it a file that people write? Take the part that is needed into a file of its own"


def decoded(raw: bytes, origin: str) -> str:
    """Return the text of a file. Raise LayerError if the file is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise LayerError(f"{origin} is not UTF-8") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, with bounds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._aliases = self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Count each node before it is made. Raise LayerError for too many."""
        self._nodes += 1
        self._aliases += self.check_event(yaml.AliasEvent)
        self._depth += 1
        _check(self._nodes, _MOST_NODES, "values")
        _check(self._aliases, _MOST_ALIASES, "aliases")
        _check(self._depth, _DEEPEST, "levels")
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, CollectionNode):
            _check(len(node.value), _MOST_ENTRIES, "entries in one place")
        return node


def _no_yaml(error: yaml.YAMLError, origin: str) -> LayerError:
    """Return an error with the line, and without the text that PyYAML quotes: it may be a
    secret."""
    line, problem = "", " ".join(str(error).split())
    if isinstance(error, yaml.MarkedYAMLError):
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context or ""
    return LayerError(f"{origin}{line}: not YAML: {problem[:200]}")


def _check(count: int, most: int, what: str) -> None:
    if count > most:
        raise LayerError(f"the YAML has more than {most} {what}", hint=_HINT)


def documents(text: str, origin: str, limit: int = MAX_TEXT_SIZE) -> list[Node]:
    """Return the root nodes of the YAML documents. Raise LayerError if the text is not YAML, longer
    than `limit` characters, or beyond the bounds of nodes, depth, aliases and merges."""
    if len(text) > limit:
        raise LayerError(f"{origin} has {len(text)} characters, more than {limit}")
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except LayerError as error:
        raise LayerError(f"{origin}: {error.message}", hint=error.hint) from None
    except yaml.YAMLError as error:
        raise _no_yaml(error, origin) from None
    except (RecursionError, ValueError) as error:
        raise LayerError(f"{origin} is not YAML that we read: {str(error)[:200]}") from None
    return [node for node in nodes if node is not None]


def keys(node: Node | None) -> dict[str, Node]:
    """Return a mapping's values by key, merged ones (`<<`) included; {} for another node.

    A mapping that is merged several times, or into itself, counts once. Raise LayerError if more
    than 100 are merged.
    """
    values: dict[str, Node] = {}
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        mapping = waiting.pop()
        if not isinstance(mapping, MappingNode) or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        _check(len(seen), _MOST_MERGED, "mappings merged into one")
        own = {key.value: value for key, value in mapping.value if _is_key(key)}
        for key, value in own.items():
            values.setdefault(key, value)
        waiting += reversed(list(_merged(mapping)))
    return values


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
    """Yield the keys of all mappings below the node. A mapping with aliases counts once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        below = waiting.pop()
        if id(below) in seen:
            continue
        seen.add(id(below))
        if isinstance(below, MappingNode):
            yield keys(below)
            waiting += reversed([value for _, value in below.value])
        waiting += reversed(items(below))


def replacing(node: ScalarNode, value: str, origin: str) -> Edit:
    """Return the edit that gives a scalar another value, in the quotes that the scalar has. Its
    anchor stays, for the aliases of it.

    The value is an image's name, digest or reference, which no style has to escape. Raise
    LayerError for a scalar of several lines.
    """
    if node.style in ("|", ">") or node.start_mark.line != node.end_mark.line:
        raise LayerError(f"{origin}: line {node.start_mark.line + 1} is not a value on one line")
    quote, start, end = node.style or "", node.start_mark, node.end_mark
    match = _PROPERTIES.match(start.buffer or "", start.pointer, end.pointer)
    before = match.end() - start.pointer if match else 0
    return Edit(start.index + before, end.index, f"{quote}{value}{quote}")
