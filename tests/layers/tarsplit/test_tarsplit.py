"""The tar-split record: each tar comes back, to the last byte."""

import gzip
import json
import os
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.images import definition
from layers.errors import LayerError
from layers.tarsplit import record_writer
from layers.tarsplit.record_reader import described
from layers.tarsplit.record_writer import TarSplit, with_contents
from tests.conftest import FIXTURES
from tests.semantics.test_semantics import ACCEPTED, CASES
from tests.tools.entry import Entry
from tests.tools.fuzz import examples
from tests.tools.image import build_oci
from tests.tools.lab import PREFIX, import_into, side_by_side
from tests.tools.layout import digest_of
from tests.tools.ostreerepo import checkout
from tests.tools.podman import Podman
from tests.tools.process import run
from tests.tools.stack import Stack, iter_once
from tests.tools.strategies import Layers, stacks
from tests.tools.tarbuild import tar_bytes
from tests.tools.tarsplit import crc64_iso, reassemble

DEFINITIONS = sorted(FIXTURES.glob("*.layers"))


def check_each_comes_back(layers: Layers, device_nodes: str = "skip") -> None:
    """Every layer that we take can be made again."""
    stack = Stack(device_nodes)
    for layer in layers:
        try:
            stack.add(layer)
        except LayerError:
            continue
        assert stack.exported(len(stack.layers) - 1) == tar_bytes(layer)


@pytest.mark.parametrize("name", ACCEPTED)
def test_each_case_comes_back(name: str) -> None:
    check_each_comes_back(CASES[name].layers)


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_each_definition_comes_back(path: Path) -> None:
    check_each_comes_back(definition.load(path))


@examples(300)
@given(layers=stacks(layers=3, entries=12))
def test_random_layers_come_back(layers: Layers) -> None:
    """Duplicates, sparse files, whiteouts with content, lost directories and all."""
    check_each_comes_back(layers)


def test_content_of_a_replaced_file_is_in_the_record() -> None:
    stack = Stack()
    lost, kept = b"lost " * 1000, b"kept " * 1000
    record = stack.add([Entry(b"a", content=lost), Entry(b"./a", content=kept)]).record
    lines = [json.loads(line) for line in gzip.decompress(record).splitlines()]
    assert [line["name"] for line in lines if line["type"] == 1] == ["a"]
    assert len(gzip.decompress(record)) < 4 * len(lost)
    assert stack.exported(0) == tar_bytes([Entry(b"a", content=lost), Entry(b"./a", content=kept)])


@examples(100)
@given(data=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_record_does_not_show_in_what_pieces_the_bytes_came(data: bytes, cuts: list[int]) -> None:
    """They come as the network, the decompressor and the repo cut them: never twice alike."""
    at = [0, *sorted(cuts), 40]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_writer, "_RAW_LIMIT", 8)
        one, other = TarSplit(), TarSplit()
        one.raw(data)
        for begin, end in pairwise(at):
            other.raw(data[begin:end])
        assert one.finish() == other.finish()


def test_record_of_what_tar_split_could_not_open() -> None:
    """Files without content have no line: there is nothing to open, and no name twice."""
    entries = [Entry(b"a"), Entry(b"a"), Entry(b"d", "dir"), Entry(b"d/b", content=b"b")]
    record = Stack().add(entries).record
    lines = [json.loads(line) for line in gzip.decompress(record).splitlines()]
    assert [line["name"] for line in lines if line["type"] == 1] == ["d/b"]


@examples(100)
@given(data=st.binary(max_size=200))
def test_checksum_is_gos_iso_polynomial(data: bytes) -> None:
    split = TarSplit()
    split.begin_file(b"f", len(data) + 1)
    split.content(b"x")
    split.content(data)
    split.end_file()
    (line,) = gzip.decompress(split.finish()).splitlines()
    assert (
        json.loads(line)["payload"]
        == __import__("base64").b64encode(crc64_iso(b"x" + data)).decode()
    )


def test_record_does_not_depend_on_the_pieces() -> None:
    """Nor on anything else: its checksum is part of the commit's."""
    layer = CASES["sparse-of-every-format"].layers[0]
    records = {Stack().add(layer, piece).record for piece in (1, 100, 512, 1 << 20)}
    assert len(records) == 1
    (record,) = records
    assert record[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_large_raw_content_is_not_held() -> None:
    """A whiteout of 80 MB: in the record it is one line a megabyte, packed at once."""
    split = TarSplit()
    for _ in range(80):
        split.raw(bytes(1 << 20))
    record = split.finish()
    assert len(record) < 1 << 21
    copy = with_contents(record, {})
    unpacker = zlib.decompressobj(wbits=31)
    assert len(unpacker.decompress(copy, 1 << 26)) == 1 << 26
    assert record == copy


def test_record_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_writer, "MAX_RECORD", 1 << 20)
    split = TarSplit()
    split.raw(os.urandom(1 << 20))
    with pytest.raises(LayerError, match="tar-split record would have more than 1048576 bytes"):
        split.raw(os.urandom(1 << 20))


def test_contents_put_in_later() -> None:
    split = TarSplit()
    for name in (b"a", b"b", b"c"):
        split.raw(b"header of " + name)
        split.begin_file(name, 3)
        split.content(name * 3)
        split.end_file()
    record = with_contents(split.finish(), {1: iter_once(b"bbb")})
    asked = {b"a": b"aaa", b"c": b"ccc"}
    whole = b"header of aaaaheader of bbbbheader of cccc"
    assert reassemble(record, asked.__getitem__) == whole


@pytest.mark.root
def test_skopeo_exports_every_case(tmp_path: Path, podman: Podman) -> None:
    """Through containers-storage's own reader, from a checked-out store: all diffIDs fit."""
    layers = side_by_side([CASES[name].layers for name in ACCEPTED])
    built = build_oci(tmp_path / "oci", "t", layers, compression="gzip")
    import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t", device_nodes="skip")
    tree = checkout(tmp_path / "repo", "all", tmp_path / "tree")
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/root"\n'
        f'runroot = "{tmp_path}/run"\n[storage.options]\n'
        f'additionalimagestores = ["{tree}{PREFIX}"]\n'
        '[storage.options.overlay]\nskip_mount_home = "true"\n'
    )
    source = f"containers-storage:@{built.image_id}"
    run(
        ["skopeo", "--insecure-policy", "copy", "--quiet", source, f"dir:{tmp_path}/out"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CONTAINERS_STORAGE_CONF": str(conf),
        },
    )
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    exported = [
        digest_of(unpacked((tmp_path / "out" / layer["digest"].partition(":")[2]).read_bytes()))
        for layer in manifest["layers"]
    ]
    assert exported == list(built.diff_ids)


def unpacked(blob: bytes) -> bytes:
    """The tar, whether it is packed or not."""
    return gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob


@pytest.mark.parametrize(
    "line", [b"", b'{"type":2,"payload":""}', b'{"type":1,"name":"a","size":0}'], ids=len
)
def test_more_lines_than_headers(line: bytes) -> None:
    """Nine million of them cost half a minute, and make no byte of a tar."""
    with pytest.raises(LayerError, match="more lines than its tar has headers"):
        list(described(iter([line + b"\n"] * 1000)))
