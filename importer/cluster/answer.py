"""The answers of workers as bytes, and read again: whoever sends them may send anything."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.errors import FetchError, ImporterError
from layers.document import Document, integer, mapping, parse_document, string
from layers.errors import Fault, LayerError
from layers.tree.plain import document, read_layer

if TYPE_CHECKING:
    from layers.tree.read_layer import ReadLayer

_DIRECTORY = re.compile(r"[A-Za-z0-9_]+")
_URL = re.compile(r"http://[^\s/@?#]+:[0-9]{1,5}/[A-Za-z0-9_-]+")
_PROOF = re.compile(r"(seen-[A-Za-z0-9_]+)?")
_COMMIT = re.compile(r"[0-9a-f]{64}")
_KINDS = {"layer": LayerError, "fetch": FetchError, "importer": ImporterError}
_SYSTEM = "system"
_MALFORMED = "a worker's answer is malformed"
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A worker's repo, and the `commit` in it that has all files of a layer.

    The `url` has a secret in it. The worker serves the repo until Dask forgets the task.
    """

    url: str = field(repr=False)
    commit: str


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """A layer that a worker has read.

    `files` is the directory with the layer's durable objects, by its name in the directory that all
    workers share, or the repo to pull them from. `written_bytes` is the size of the new files,
    `read_bytes` the bytes read of the blob or the store, `seconds` the time that the worker took.
    """

    found: ReadLayer
    files: str | Parcel
    written_bytes: int
    read_bytes: int
    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error because of which a worker could not read a layer."""

    error: Fault | OSError
    worker: str


def encoded(answer: WorkerAnswer | Refusal) -> bytes:
    """Return the answer as JSON, for `decoded`."""
    if isinstance(answer, Refusal):
        return _json({"worker": answer.worker, "error": _error_document(answer.error)})
    files = answer.files
    return _json(
        {
            "worker": answer.worker,
            "layer": document(answer.found),
            "files": {"url": files.url, "commit": files.commit}
            if isinstance(files, Parcel)
            else {"directory": files},
            "written_bytes": answer.written_bytes,
            "read_bytes": answer.read_bytes,
            "microseconds": int(answer.seconds * _MICROSECONDS),
        }
    )


def decoded(raw: bytes) -> WorkerAnswer | Refusal:
    """Return the answer. Raise ImporterError if it is none."""
    try:
        said = parse_document(raw, "it", len(raw))
        worker = string(said, "worker", "it")
        if "error" in said:
            return Refusal(_error(mapping(said, "error", "it")), worker)
        return WorkerAnswer(
            read_layer(mapping(said, "layer", "it")),
            _files(mapping(said, "files", "it")),
            integer(said, "written_bytes", "it"),
            integer(said, "read_bytes", "it"),
            worker,
            integer(said, "microseconds", "it") / _MICROSECONDS,
        )
    except LayerError as error:
        raise ImporterError(f"{_MALFORMED}: {error.message}") from None


def _files(said: Document) -> str | Parcel:
    if "directory" in said:
        return _matching(_DIRECTORY, said, "directory")
    return Parcel(_matching(_URL, said, "url"), _matching(_COMMIT, said, "commit"))


def _matching(form: re.Pattern[str], said: Document, key: str) -> str:
    text = string(said, key, "it")
    if not form.fullmatch(text):
        raise LayerError(f"its {key} is {text[:100]!r}")
    return text


def encoded_proof(name: str) -> bytes:
    """Return the file's name that `Agreement.answered` returns as JSON, for `decoded_proof`."""
    return _json({"proof": name})


def decoded_proof(raw: bytes) -> str | Refusal:
    """Return the file's name, "" for none. Raise ImporterError if the bytes are no proof."""
    try:
        said = parse_document(raw, "it")
        if "error" in said:
            return Refusal(_error(mapping(said, "error", "it")), string(said, "worker", "it"))
        return _matching(_PROOF, said, "proof")
    except LayerError as error:
        raise ImporterError(f"{_MALFORMED}: {error.message}") from None


def _error_document(error: Fault | OSError) -> Document:
    if isinstance(error, OSError):
        return {
            "kind": _SYSTEM,
            "number": error.errno or 0,
            "message": error.strerror or str(error),
        }
    kind = next(name for name, one in _KINDS.items() if isinstance(error, one))
    path = None if error.path is None else error.path.decode("latin-1")
    return {
        "kind": kind,
        "message": error.message,
        "hint": error.hint,
        "digest": error.digest,
        **({} if path is None else {"path": path}),
    }


def _error(said: Document) -> Fault | OSError:
    kind, message = string(said, "kind", "it"), string(said, "message", "it")
    if kind == _SYSTEM:
        return OSError(integer(said, "number", "it"), message)
    if kind not in _KINDS:
        raise LayerError(f"an error is of the kind {kind[:100]!r}")
    path = string(said, "path", "it") if "path" in said else None
    return _KINDS[kind](
        message,
        hint=string(said, "hint", "it"),
        digest=string(said, "digest", "it"),
        path=None if path is None else path.encode("latin-1", "replace"),
    )


def _json(said: Document) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()
