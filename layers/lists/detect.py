"""Recognize the format of a file that lists images, by its content, not its name."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from decimal import Decimal
from typing import TYPE_CHECKING

from layers.document import MAX_DOCUMENT_SIZE, MAX_TEXT_SIZE, Document, parse_document
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.lists.microshift_json import ReleaseFile
from layers.oci.reference import REGISTRIES

if TYPE_CHECKING:
    from collections.abc import Container

    from layers.lists.listed import ListFile

# The names of a kustomization in its directory, as kustomize looks for them.
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# For hints.
KINDS = (
    "a MicroShift release file, a blueprint with [[containers]], a Compose file, Kubernetes"
    " manifests, a Quadlet unit, or a list with one image a line"
)
_BLUEPRINT = re.compile(r"^[ \t]*(\[\[[ \t]*containers\b|containers[ \t]*=)", re.MULTILINE)
# `key: value` or `key:` at the margin, `---`, or JSON: no line of a plain list looks so.
_YAML = re.compile(r"^(---|%YAML|[A-Za-z][\w.-]*:(\s|$)|\{)", re.MULTILINE)
# One JSON object. Several divided by `---`, and objects with bare keys, are YAML.
_JSON_OBJECT = re.compile(r"\s*\{\s*([\"}](?!.*^---)|\Z)", re.MULTILINE | re.DOTALL)


@frozen
class ListRules:
    """Rules for lists: `transports` are allowed for their images, other than registries' for local
    lists alone. `size` is the most bytes of a list."""

    transports: frozenset[str] = REGISTRIES
    size: int = MAX_TEXT_SIZE


def kustomization_in(names: Container[str]) -> str | None:
    """Return the name of the kustomization among a directory's names, None if there is none."""
    return next((name for name in KUSTOMIZATIONS if name in names), None)


def read_list(raw: bytes, origin: str, limit: int = MAX_TEXT_SIZE, kinds: str = KINDS) -> ListFile:
    """Return the images of a file of at most `limit` bytes. `origin` names the file in errors,
    whose hint says which `kinds` of files are read.

    Raise LayerError if the file has none of the formats, or lists no image.
    """
    with within(hint=f"it can be {kinds}"):
        file = parse_list(raw, origin, limit)
        if not file.images:
            raise LayerError(f"{origin} lists no image")
    return file


def parse_list(
    raw: bytes, origin: str, limit: int = MAX_TEXT_SIZE, *, lines: bool = True
) -> ListFile:
    """Return the images of a file, which may have none. Raise LayerError as `read_list`.

    `lines` False refuses plain lists, whose errors quote a line: a name in a directory may lead to
    a file that the directory's owner may not read.
    """
    document = json_object(raw, origin, limit)
    if document is not None and "images" in document and not is_manifest(document):
        return ReleaseFile.of(document, origin)
    if len(raw) > limit:
        raise LayerError(
            f"{origin} has {len(raw)} bytes, more than {limit}",
            hint="raise max-list-size in the config file",
        )
    return _text_list(_text(raw, origin), origin, limit, lines=lines)


def json_object(raw: bytes, origin: str, limit: int) -> Document | None:
    """Return the JSON object of a file, whose numbers are Decimals; None if the file has another
    format.

    Raise LayerError for HTML, for JSON that is malformed or no object, and for an object of more
    than 4 MiB and more than `limit` bytes.
    """
    text = _text(raw, origin).strip()
    if text.startswith("<"):
        raise LayerError(f"{origin} is HTML or XML", hint="is it the page of a log-in?")
    if text in ("null", "true", "false") or (text.startswith(("[", '"')) and _is_json(text)):
        raise LayerError(f"{origin} is JSON, but no object")
    if _JSON_OBJECT.match(text):
        limit = max(limit, MAX_DOCUMENT_SIZE)
        return parse_document(raw.removeprefix(BOM_UTF8), origin, limit, Decimal)
    return None


def _text(raw: bytes, origin: str) -> str:
    try:
        return raw.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        raise LayerError(f"{origin} is not UTF-8") from None


def _is_json(text: str) -> bool:
    """Return whether the text is JSON. Quadlet units and TOML begin with a bracket, too."""
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def is_manifest(document: Document) -> bool:
    """Return whether a JSON object is a Compose file or a Kubernetes manifest."""
    return "services" in document or {"kind", "apiVersion"} <= document.keys()


def _text_list(text: str, origin: str, limit: int, *, lines: bool) -> ListFile:
    # These load the readers of YAML and TOML.
    from layers.lists.blueprint import read_blueprint
    from layers.lists.lines import read_lines
    from layers.lists.manifests import read_manifests
    from layers.lists.quadlet import is_unit, read_unit

    if is_unit(text):
        return read_unit(text, origin)
    if _BLUEPRINT.search(text):
        return read_blueprint(text, origin, limit)
    if _YAML.search(text):
        return read_manifests(text, origin, limit)
    if not lines:
        raise LayerError(f"{origin} is no unit, and no manifest")
    return read_lines(text, origin)
