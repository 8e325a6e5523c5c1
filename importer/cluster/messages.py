"""The messages between the importing process and its workers: a request to read a layer, and the
answers, which are JSON and checked, since whoever sends them may send anything."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import field
from typing import TYPE_CHECKING

from importer.errors import FetchError, ImporterError
from layers.document import Document, integer, mapping, parse_document, string
from layers.errors import Fault, LayerError
from layers.frozen import frozen
from layers.tree.read_layer import layer_document, parse_layer

if TYPE_CHECKING:
    from importer.cluster.agreement import Agreement
    from importer.fetch.skopeo import Skopeo
    from importer.repo.new_objects import ObjectPlace
    from importer.workers.job import Job
    from layers.oci.manifest import Descriptor
    from layers.tree.read_layer import ReadLayer

_DIRECTORY = re.compile(r"[A-Za-z0-9_]+")
_URL = re.compile(r"http://[^\s/@?#]+:[0-9]{1,5}/[A-Za-z0-9_-]+")
_PROOF = re.compile(r"(seen-[A-Za-z0-9_]+)?")
_COMMIT = re.compile(r"[0-9a-f]{64}")
_KINDS = {"layer": LayerError, "fetch": FetchError, "importer": ImporterError}
_SYSTEM = "system"
_MALFORMED = "a worker's answer is malformed"
_MICROSECONDS = 1_000_000


@frozen
class Download:
    """The blob that a worker fetches: skopeo opens the image as `source`."""

    skopeo: Skopeo
    source: str
    blob: Descriptor


@frozen
class WantedLayer:
    """A layer to read, of `size` bytes. The highest `priority` goes first. `download` is None for a
    layer of an existing store."""

    layer_id: str
    job: Job[ReadLayer]
    download: Download | None
    size: int
    priority: int

    @property
    def key(self) -> str:
        """Return Dask's key for the task.

        The part before the first `-` names a range of sizes. Dask learns for each such name how
        long a task takes, and decides by that where tasks run and whether to ask for workers.
        """
        megabytes = 4 ** max(0, (self.size >> 20).bit_length() + 1 >> 1)
        return f"layer_{megabytes}M-{self.layer_id[:12]}-{secrets.token_hex(4)}"


@frozen
class Request:
    """A request to read a layer.

    The worker makes a directory for the layer's objects in `place.directory`. If `place` is None,
    the worker keeps them in a repo of its own. It sends its events to `topic`, with the layer's id.
    """

    layer: WantedLayer
    topic: str
    agreement: Agreement
    place: ObjectPlace | None

    def __repr__(self) -> str:
        """Return a text without secrets, since Dask shows it in logs and on its dashboard."""
        return f"<layer {self.layer.layer_id}>"


@frozen
class Parcel:
    """A worker's repo, and the `commit` in it that has all files of a layer.

    The `url` has a secret in it. The worker serves the repo until Dask forgets the task.
    """

    url: str = field(repr=False)
    commit: str


@frozen
class WorkerAnswer:
    """A layer that a worker has read.

    `files` is the directory with the layer's durable objects, by its name in the directory that all
    workers share, or the repo to pull them from. `written_bytes` is the size of the new files,
    `read_bytes` the bytes read of the blob or the store, `seconds` the time that the worker took.
    """

    layer: ReadLayer
    files: str | Parcel
    written_bytes: int
    read_bytes: int
    worker: str
    seconds: float


@frozen
class Refusal:
    """The error because of which a worker could not read a layer."""

    error: Fault | OSError
    worker: str


def of_worker(fault: Fault, worker: str) -> Fault:
    """Return the fault with the worker's address before its message."""
    fault.message = f"worker {worker}: {fault.message}"
    return fault


def encoded(answer: WorkerAnswer | Refusal) -> bytes:
    """Return the answer as JSON, for `decoded`."""
    if isinstance(answer, Refusal):
        return _json({"worker": answer.worker, "error": _error_document(answer.error)})
    files = answer.files
    return _json(
        {
            "worker": answer.worker,
            "layer": layer_document(answer.layer),
            "files": {"url": files.url, "commit": files.commit}
            if isinstance(files, Parcel)
            else {"directory": files},
            "written_bytes": answer.written_bytes,
            "read_bytes": answer.read_bytes,
            "microseconds": int(answer.seconds * _MICROSECONDS),
        }
    )


def decoded(raw: bytes) -> WorkerAnswer | Refusal:
    """Return the answer. Raise ImporterError if the bytes are no answer."""
    try:
        answer = parse_document(raw, "it", len(raw))
        worker = string(answer, "worker", "it")
        if "error" in answer:
            return Refusal(_error(mapping(answer, "error", "it")), worker)
        return WorkerAnswer(
            parse_layer(mapping(answer, "layer", "it")),
            _files(mapping(answer, "files", "it")),
            integer(answer, "written_bytes", "it"),
            integer(answer, "read_bytes", "it"),
            worker,
            integer(answer, "microseconds", "it") / _MICROSECONDS,
        )
    except LayerError as error:
        raise ImporterError(f"{_MALFORMED}: {error.message}") from None


def _files(files: Document) -> str | Parcel:
    if "directory" in files:
        return _matching(_DIRECTORY, files, "directory")
    return Parcel(_matching(_URL, files, "url"), _matching(_COMMIT, files, "commit"))


def _matching(form: re.Pattern[str], answer: Document, key: str) -> str:
    text = string(answer, key, "it")
    if not form.fullmatch(text):
        raise LayerError(f"its {key} is {text[:100]!r}")
    return text


def encoded_proof(name: str) -> bytes:
    """Return the file's name that `Agreement.answered` returns as JSON, for `decoded_proof`."""
    return _json({"proof": name})


def decoded_proof(raw: bytes) -> str | Refusal:
    """Return the file's name, "" for none. Raise ImporterError if the bytes are no proof."""
    try:
        answer = parse_document(raw, "it")
        if "error" in answer:
            return Refusal(_error(mapping(answer, "error", "it")), string(answer, "worker", "it"))
        return _matching(_PROOF, answer, "proof")
    except LayerError as error:
        raise ImporterError(f"{_MALFORMED}: {error.message}") from None


def _error_document(error: Fault | OSError) -> Document:
    if isinstance(error, OSError):
        message = error.strerror or str(error)
        return {"kind": _SYSTEM, "number": error.errno or 0, "message": message}
    return {
        "kind": next(name for name, kind in _KINDS.items() if isinstance(error, kind)),
        "message": error.message,
        "hint": error.hint,
        "digest": error.digest,
        **({} if error.path is None else {"path": error.path.decode("latin-1")}),
    }


def _error(error: Document) -> Fault | OSError:
    kind, message = string(error, "kind", "it"), string(error, "message", "it")
    if kind == _SYSTEM:
        return OSError(integer(error, "number", "it"), message)
    if kind not in _KINDS:
        raise LayerError(f"an error is of the kind {kind[:100]!r}")
    path = string(error, "path", "it") if "path" in error else None
    return _KINDS[kind](
        message,
        hint=string(error, "hint", "it"),
        digest=string(error, "digest", "it"),
        path=None if path is None else path.encode("latin-1", "replace"),
    )


def _json(message: Document) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
