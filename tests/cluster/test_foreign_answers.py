"""Whoever answers for a scheduler or a worker runs nothing here, and every answer is checked."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from importer.cluster.guard import ForeignObject, loads
from importer.cluster.messages import (
    Parcel,
    Refusal,
    WorkerAnswer,
    decoded,
    decoded_proof,
    encoded,
    encoded_proof,
)
from importer.cluster.session import Bar, Bars
from importer.errors import FetchError, ImporterError
from importer.progress import Silence
from layers.entry import Entry as TarEntry
from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.ostree.objects import Stored
from layers.tree.builder import LayerTree
from layers.tree.node import Directory, rows
from layers.tree.read_layer import ReadLayer
from tests.tools.dask import DaskCluster
from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.ostreerepo import refs
from tests.tools.tarbuild import Entry

#: For `dask scheduler --preload`: whatever clients hear from this scheduler has a pickle in it.
EVIL = """
import os, pickle
from distributed.batched import BatchedSend
from distributed.protocol.serialize import ToPickle

class Evil:
    def __reduce__(self):
        return os.mkdir, (MARK,)

def dask_setup(scheduler):
    inner = BatchedSend.send
    def send(self, *messages):
        inner(self, *({**one, "type": pickle.dumps(Evil())} if one.get("op") == "key-in-memory"
                      else one for one in messages))
    BatchedSend.send = send
    for name in HANDLERS:
        scheduler.handlers[name] = lambda *args, **more: {"evil": ToPickle(Evil()), "status": "OK"}
"""


class Evil:
    """A pickle that makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    raw = pickle.dumps({"a": [Evil(tmp_path / "made"), 1, "b"]})
    found = loads(raw)
    assert isinstance(found, dict)
    (told, *plain) = found["a"]
    assert isinstance(told, ForeignObject)
    assert (told.name, told.args, plain) == ("mkdir", (str(tmp_path / "made"),), [1, "b"])
    assert list(tmp_path.iterdir()) == []
    pickle.loads(raw)  # noqa: S301 - the same as pickle reads it
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("handlers", "status"),
    [(["identity"], 0), (["broadcast"], 1), (["gather"], 1), (["ncores"], 1), ([], 0)],
)
def test_a_scheduler_that_sends_pickles(tmp_path: Path, handlers: list[str], status: int) -> None:
    """In its answers, or, as always, in what it tells of tasks. A pickle may stand where the client
    does not look."""
    mark = tmp_path / "mark"
    preload = tmp_path / "evil.py"
    preload.write_text(f"MARK = {str(mark)!r}\nHANDLERS = {handlers}\n{EVIL}")
    env = {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": f'["{preload}"]'}
    with DaskCluster(tmp_path, env=env) as dask:
        dask.add()
        outcome = run_import(
            tmp_path / "repo",
            "--insecure-policy",
            "--branch=os/images",
            "--cluster-wait=1",
            f"--cluster={dask.address}",
            f"oci:{image(tmp_path)}:t",
        )
    assert not mark.exists()
    assert outcome.status == status, outcome.stderr
    if status:
        assert len(outcome.said("error")) == 1
        assert "os/images" not in refs(tmp_path / "repo")


def image(where: Path) -> Path:
    """An OCI layout of one image."""
    return build_oci(where / "layout", "t", [[Entry(b"f", content=b"f")]]).directory


def layer() -> ReadLayer:
    """A layer with whatever a tree can have."""
    tree = LayerTree()
    owner = Owner(0o755, 1, 2, ((b"user.\xff", b"\0"),))
    for path, kind, link in (
        (b"d", Kind.DIRECTORY, b""),
        (b"d/\xc3\xa9", Kind.FILE, b""),
        (b"d/h", Kind.HARDLINK, b"d/\xc3\xa9"),
        (b"e/s", Kind.SYMLINK, b"t"),
        (b"e/.wh.gone", Kind.FILE, b""),
        (b"low", Kind.HARDLINK, b"x"),
        (b"d/.wh..wh..opq", Kind.FILE, b""),
        (b"dev/null", Kind.CHAR, b""),
    ):
        leaf = tree.add(TarEntry(path, kind, owner, link=link, device=(1, 3)))
        if leaf is not None:
            leaf.checksum = "ab" * 32
    tree.root.entries[b"stored"] = Stored("cd" * 32, "ef" * 32)
    return ReadLayer(tree, 1, 2, b"record", verified=False, entries=3, size=4)


def answer(files: str | Parcel = "tmpabc") -> WorkerAnswer:
    return WorkerAnswer(layer(), files, 5, 6, "tcp://w:1", 0.5)


@pytest.mark.parametrize("files", ["tmpabc", Parcel("http://[::1]:80/a-b_c", "0" * 64)])
def test_an_answer_comes_as_it_was_sent(files: str | Parcel) -> None:
    sent = answer(files)
    found = decoded(encoded(sent))
    assert isinstance(found, WorkerAnswer)
    assert encoded(found) == encoded(sent)
    assert found.files == files
    tree = found.layer.tree
    directory = tree.root.entries[b"d"]
    assert isinstance(directory, Directory)
    assert directory.entries[b"\xc3\xa9"] is directory.entries[b"h"]
    assert tree.links[0].leaf is tree.root.entries[b"low"]
    assert [row[2:] for row in rows(tree.root)] == [row[2:] for row in rows(sent.layer.tree.root)]


@pytest.mark.parametrize(
    "error",
    [
        LayerError("a", hint="b", digest="c", path=b"\xff"),
        FetchError("a"),
        ImporterError("a", hint="b"),
        OSError(28, "No space left on device"),
    ],
)
def test_an_error_comes_as_it_was_sent(error: Any) -> None:
    found = decoded(encoded(Refusal(error, "w")))
    assert isinstance(found, Refusal)
    assert type(found.error) is type(error)
    assert vars(found.error) == vars(error)
    assert str(found.error) == str(error)
    proof = decoded_proof(encoded(Refusal(error, "")))
    assert isinstance(proof, Refusal)


def changed(**parts: object) -> bytes:
    """An answer with other values, those of the layer below `layer_`."""
    document = json.loads(encoded(answer()))
    for key, value in parts.items():
        place, name = (document["layer"], key[6:]) if key.startswith("layer_") else (document, key)
        place[name] = value
    return json.dumps(document).encode()


_ROW: list[object] = [None, {}, [], False, True]


@pytest.mark.parametrize(
    "parts",
    [
        {"files": {"directory": "../objects"}},
        {"files": {"directory": ""}},
        {"files": {"url": "file:///etc", "commit": "0" * 64}},
        {"files": {"url": "http://h:1/t\n[core]", "commit": "0" * 64}},
        {"files": {"url": "http://h:1/t", "commit": "--help"}},
        {"written_bytes": -1},
        {"worker": None},
        {"error": {"kind": "os.system", "message": "id"}},
        {"error": {"kind": "layer", "message": "m", "hint": 1, "digest": ""}},
        {"layer_directories": []},
        {"layer_directories": [[None, {"a": 0}, [], False, True]]},
        {"layer_directories": [[None, {"a": 1, "b": 1}, [], False, True], _ROW]},
        {"layer_directories": [_ROW, _ROW]},
        {"layer_directories": [[None, {"..": "a device node that was left out"}, [], False, True]]},
        {"layer_directories": [[None, {"a/b": [0]}, [], False, True]]},
        {"layer_directories": [[None, {"a": [9]}, [], False, True]]},
        {"layer_directories": [[None, {"a": [-1]}, [], False, True]]},
        {"layer_directories": [[None, {"a": ["x", "y"]}, [], False, True]]},
        {"layer_directories": [[None, {"\u0100": [0]}, [], False, True]]},
        {"layer_directories": [[None, {"\xff": [0]}, [], False, True]]},
        {"layer_directories": [[None, {"\0": [0]}, [], False, True]]},
        {"layer_directories": [[None, {}, [""], False, True]]},
        {"layer_directories": [[[0o10000, 0, 0, []], {}, [], False, True]]},
        {"layer_directories": [[[0, -1, 0, []], {}, [], False, True]]},
        {"layer_directories": [[[0, 0, 0, [["a"]]], {}, [], False, True]]},
        {"layer_directories": [[None, [], [], False, True]]},
        {"layer_leaves": [["../x", False]]},
        {"layer_links": [[0, "a"]]},
        {"layer_uids": [True]},
        {"layer_record": "?"},
        {"layer_size": 2**63},
        {"layer_verified": 1},
    ],
)
def test_a_malformed_answer_is_an_error(parts: dict[str, object]) -> None:
    with pytest.raises(ImporterError, match="a worker's answer is malformed"):
        decoded(changed(**parts))


@pytest.mark.parametrize("name", ["../../etc/passwd", "seen-a/b", "/etc/passwd", "nonce"])
def test_a_proof_names_a_proof(name: str) -> None:
    assert decoded_proof(encoded_proof("seen-a_b")) == "seen-a_b"
    with pytest.raises(ImporterError, match="malformed"):
        decoded_proof(encoded_proof(name))


def test_malformed_events_are_none() -> None:
    bars = Bars()
    bars.add("a", Bar(Silence(), "a", 1))
    events: list[object] = [None, [], {}, {"layer": []}, {"layer": "a", "bytes": "x", "message": 1}]
    for event in events:
        bars.hear(event)
