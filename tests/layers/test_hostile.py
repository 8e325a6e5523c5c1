"""Bytes from anybody: they are parsed, or refused by an error of ours. Nothing else happens.

`make fuzz` runs the properties for as long as FUZZ_SECONDS says.
"""

import gzip
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fixtures.images import definition
from layers.compress.decompress import decompressed
from layers.digest import Digest
from layers.errors import Fault, LayerError
from layers.oci.config import parse_config
from layers.oci.manifest import Manifest, parse_manifest
from layers.oci.media_type import Compression
from layers.oci.reference import Reference
from layers.storage.image import Image
from tests.conftest import FIXTURES
from tests.semantics.test_semantics import ACCEPTED, CASES
from tests.tools.fuzz import again_and_again, examples
from tests.tools.image import Document, build_oci
from tests.tools.lab import import_into
from tests.tools.mediatype import DOCKER, OCI
from tests.tools.ostreerepo import refs
from tests.tools.stack import Stack
from tests.tools.tarbuild import Entry, tar_bytes, tar_member
from tests.tools.tarread import pieces

BLOCK = 512
#: Every layer of every fixture that we take, as (case, its number).
TARS = [(name, n) for name in ACCEPTED for n in range(len(CASES[name].layers))]
TARS += [
    (path.stem, n)
    for path in sorted(FIXTURES.glob("*.layers"))
    for n in range(len(definition.load(path)))
]
MEDIA_TYPES = {
    Compression.NONE: OCI.of_layer("none"),
    Compression.GZIP: OCI.of_layer("gzip"),
    Compression.ZSTD: OCI.of_layer("zstd"),
}


def layers_of(name: str) -> list[list[Entry]]:
    """A fixture's layers."""
    return CASES[name].layers if name in CASES else definition.load(FIXTURES / f"{name}.layers")


def lower_stack(name: str, number: int) -> Stack:
    """The layers below this one."""
    stack = Stack("skip")
    for layer in layers_of(name)[:number]:
        stack.add(layer)
    return stack


# -- layers cut short, and layers with flipped bits --


def ends_of(entries: list[Entry]) -> set[int]:
    """Where a tar of these may end: behind each, and within its end marker."""
    sizes = accumulate(len(tar_member(entry)) for entry in entries)
    ends = {size for size, entry in zip(sizes, entries, strict=True) if entry.kind not in "xXLK"}
    return {0, len(tar_bytes(entries)) - BLOCK, *ends}


@pytest.mark.parametrize(("name", "number"), TARS)
def test_layer_cut_at_any_block(name: str, number: int) -> None:
    """Where an entry ends, the tar may end: that is another layer, with another diffID. Anywhere
    else the cut is found."""
    entries = layers_of(name)[number]
    tar = tar_bytes(entries)
    ends = ends_of(entries)
    # Large files have many blocks that are all alike.
    step = BLOCK * max(1, len(tar) // BLOCK // 60)
    for length in range(0, len(tar), step):
        with nullcontext() if length in ends else pytest.raises(LayerError):
            lower_stack(name, number).add(tar[:length])
        with pytest.raises(LayerError):
            lower_stack(name, number).add(tar[: length + 1])


@pytest.mark.root
def test_layer_cut_short_is_never_committed(tmp_path: Path) -> None:
    """The manifest and the config say the cut layer's digests, as a liar's would."""
    entries = CASES["sparse-of-every-format"].layers[0]
    tar = tar_bytes(entries)
    for length in sorted({*range(0, len(tar), 4 * BLOCK)} - ends_of(entries)):
        build_oci(tmp_path / "oci", "t", [tar[:length]])
        with pytest.raises(LayerError) as caught:
            import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t")
        assert caught.value.digest.startswith("sha256:")
        assert refs(tmp_path / "repo") == []


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_packed_layer_cut_anywhere_is_refused(compression: Compression) -> None:
    tar = tar_bytes([Entry(b"f", content=bytes(range(256)) * 40), Entry(b"g", content=b"g")])
    packers: dict[Compression, Callable[[bytes], bytes]] = {
        Compression.GZIP: lambda data: gzip.compress(data, mtime=0),
        Compression.ZSTD: zstandard.ZstdCompressor(write_checksum=True).compress,
    }
    blob = packers[compression](tar)
    for length in range(len(blob)):
        with pytest.raises(LayerError):
            Stack().add(unpacked(blob[:length], compression))
    assert unpacked(blob, compression) == tar


def unpacked(blob: bytes, compression: Compression, size: int = 1 << 16) -> bytes:
    """What the blob unpacks to, or the error."""
    return b"".join(decompressed(pieces(blob, size), MEDIA_TYPES[compression], compression))


flips = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), min_size=1, max_size=3)


@examples(700)
@given(tar=st.sampled_from(TARS), where=flips)
def test_flipped_bits_are_refused_or_do_what_they_say(
    tar: tuple[str, int], where: list[tuple[int, int]]
) -> None:
    """No other error; and a tar that is taken comes back, flipped bits and all."""
    data = bytearray(tar_bytes(layers_of(tar[0])[tar[1]]))
    for at, bit in where:
        data[at % len(data)] ^= 1 << bit
    stack = lower_stack(*tar)
    try:
        stack.add(bytes(data))
    except LayerError:
        return
    assert stack.exported(tar[1]) == bytes(data)


@examples(500)
@given(tar=st.sampled_from(TARS), at=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_one_flipped_bit_changes_what_it_is_part_of(
    tar: tuple[str, int], at: int, bit: int
) -> None:
    """Header blocks have checksums: what a single bit can change is a content or a PAX record."""
    entries = layers_of(tar[0])[tar[1]]
    data = bytearray(tar_bytes(entries))
    data[at % len(data)] ^= 1 << bit
    whole, damaged = lower_stack(*tar), lower_stack(*tar)
    whole.add(entries)
    try:
        damaged.add(bytes(data))
    except LayerError:
        return
    one, other = whole.top(), damaged.top()
    names = {path for path in one.keys() ^ other.keys() if b"/" not in path}
    assert len(names) <= 2  # one that is now called otherwise
    changed = [path for path in one.keys() & other.keys() if one[path] != other[path]]
    contents = {one[path][5] for path in changed if one[path][0] == "file"}
    assert len(contents) <= 2  # hardlinks to it have it, too


# -- arbitrary bytes --


def read_blob(data: bytes, compression: Compression, size: int = 1 << 12) -> None:
    """As an import would."""
    try:
        Stack("skip").add(unpacked(data, compression, size))
    except LayerError:
        return


heads = st.sampled_from(
    [b"", b"\x1f\x8b\x08", b"\x1f\x8b\x08\x00" + bytes(6), b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]
)


@examples(600)
@given(
    head=heads,
    rest=st.binary(max_size=3000),
    compression=st.sampled_from(list(MEDIA_TYPES)),
    size=st.integers(1, 4096),
)
def test_any_bytes_as_a_blob(head: bytes, rest: bytes, compression: Compression, size: int) -> None:
    read_blob(head + rest, compression, size)


@examples(600)
@given(
    tar=st.sampled_from(TARS),
    where=flips,
    compression=st.sampled_from([Compression.GZIP, Compression.ZSTD]),
)
def test_damaged_packed_blob(
    tar: tuple[str, int], where: list[tuple[int, int]], compression: Compression
) -> None:
    whole = tar_bytes(layers_of(tar[0])[tar[1]])
    pack = partial(gzip.compress, compresslevel=1, mtime=0)
    data = bytearray((pack if compression is Compression.GZIP else zstandard.compress)(whole))
    for at, bit in where:
        data[at % len(data)] ^= 1 << bit
    read_blob(bytes(data), compression)


# -- documents --

DIGESTS = [
    "sha256:" + "0" * 64,
    "sha512:" + "0" * 128,
    "sha256:" + "A" * 64,
    "SHA256:" + "0" * 64,
    "md5:" + "0" * 32,
    "sha256:",
    "sha256:" + "0" * 63,
    "sha256:../../x",
    "",
]
KEYS = [
    "schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "rootfs",
    "diff_ids", "type", "created", "architecture", "os", "variant", "platform", "artifactType",
    "annotations", "urls", "Layers", "DIGEST", "",
]  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, -1, 2**31, 2**63, 10**30, 1.5, 1e300]),
    st.sampled_from([*DIGESTS, OCI.manifest, OCI.index, OCI.config, DOCKER.manifest, "layers"]),
    st.text(max_size=10),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)


def good_manifest(config: bytes = b"{}", layers: int = 1) -> Document:
    """One that is parsed."""
    blob = {"mediaType": OCI.of_layer("none"), "digest": DIGESTS[0], "size": 1}
    digest = str(Digest.of(config))
    return {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": {"mediaType": OCI.config, "digest": digest, "size": len(config)},
        "layers": [blob] * layers,
    }


GOOD_CONFIG: Document = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-06T07:08:09Z",
    "rootfs": {"type": "layers", "diff_ids": [DIGESTS[0]]},
}


def read_documents(manifest: bytes, config: bytes) -> None:
    """As an import would; whatever is parsed can be asked for all that it has."""
    try:
        parsed = parse_manifest(manifest)
        if isinstance(parsed, Manifest):
            image = Image(
                Reference.parse("oci:x:y"), "oci:x:y", parsed, parse_config(config, parsed)
            )
            assert len(image.layers) == len(parsed.layers)
            assert image.big_data()
            assert image.config.created_seconds >= 0
    except Fault as error:
        said = str(error)
    else:
        return
    assert "\n" not in said
    assert len(said) < 2000


@examples(500)
@given(raw=st.binary(max_size=200))
def test_any_bytes_as_documents(raw: bytes) -> None:
    read_documents(raw, raw)
    read_documents(json.dumps(good_manifest(raw)).encode(), raw)


@examples(400)
@given(changes=st.dictionaries(st.sampled_from(KEYS), values, max_size=3), deep=st.booleans())
def test_any_json_as_a_manifest(changes: Document, deep: bool) -> None:
    config = json.dumps(GOOD_CONFIG).encode()
    document = good_manifest(config)
    if deep:
        document["layers"][0] = document["layers"][0] | changes
    else:
        document |= changes
    read_documents(json.dumps(document).encode(), config)


@examples(400)
@given(changes=st.dictionaries(st.sampled_from(KEYS), values, max_size=3), deep=st.booleans())
def test_any_json_as_a_config(changes: Document, deep: bool) -> None:
    document: Document = {**GOOD_CONFIG, "rootfs": dict(GOOD_CONFIG["rootfs"])}
    (document["rootfs"] if deep else document).update(changes)
    config = json.dumps(document).encode()
    read_documents(json.dumps(good_manifest(config)).encode(), config)


def refused(raw: bytes, message: str) -> None:
    with pytest.raises(LayerError, match=message) as caught:
        parse_manifest(raw)
    assert len(str(caught.value)) < 1000


def with_layers(*digests: Any) -> bytes:
    """A manifest whose layers have these digests."""
    document = good_manifest(layers=0)
    document["layers"] = [
        {"mediaType": OCI.of_layer("none"), "digest": digest, "size": 1} for digest in digests
    ]
    return json.dumps(document).encode()


@pytest.mark.parametrize("digest", DIGESTS[2:])
def test_digest_that_is_none(digest: str) -> None:
    refused(with_layers(digest), r"digest")


@pytest.mark.parametrize("digest", [None, 1, ["sha256:" + "0" * 64], {"a": 1}])
def test_digest_of_another_type(digest: Any) -> None:
    refused(with_layers(digest), "not a digest: a ")


def test_million_layers() -> None:
    """As many as fit the bound of a document, and more."""
    one = with_layers(DIGESTS[0])
    start, end = one.index(b'[{"mediaType"') + 1, one.rindex(b"]")

    def many(count: int) -> bytes:
        return one[:start] + b",".join([one[start:end]] * count) + one[end:]

    refused(many(20_000), "the image has 20000 layers; overlayfs stacks 500")
    refused(many(1_000_000), "more than 4194304")


@pytest.mark.parametrize("depth", [500, 900, 5_000, 100_000, 2_000_000])
@pytest.mark.parametrize("shape", [(b"[", b"]"), (b'{"a":', b"}")], ids=["array", "object"])
def test_deep_json(depth: int, shape: tuple[bytes, bytes]) -> None:
    nested = shape[0] * depth + b"1" + shape[1] * depth
    refused(nested, r"is not|is missing|more than|nested")
    for wanted in (b'"sha256:' + b"0" * 64 + b'"', b'"' + OCI.of_layer("none").encode() + b'"'):
        refused(
            with_layers(DIGESTS[0]).replace(wanted, nested), r"not a digest|is not|more than|nested"
        )


@pytest.mark.parametrize("shape", [(b"[", b"]"), (b'{"a":', b"}")], ids=["array", "object"])
def test_json_as_deep_as_go_reads_it(shape: tuple[bytes, bytes]) -> None:
    """10,000 levels; Python 3.13 reads a few less, 3.14 more, and podman would not list the
    store's images."""

    def deep(levels: int) -> bytes:
        inner = shape[0] * (levels - 1) + b"1" + shape[1] * (levels - 1)
        return with_layers(DIGESTS[0]).replace(b"{", b'{"x": ' + inner + b",", 1)

    parse_manifest(deep(9_900))
    for levels in (10_001, 20_000, 100_000):
        refused(deep(levels), "nested too deep")


def test_large_numbers() -> None:
    for number in ("1" * 5000, "1e999", "-1", "1.5", str(2**63), "NaN", "Infinity"):
        document = with_layers(DIGESTS[0]).replace(b'"size": 1', b'"size": ' + number.encode())
        refused(document, "not a size|is not JSON|not of type int|is not a JSON number")


def test_duplicate_keys() -> None:
    refused(b'{"schemaVersion": 2, "schemaVersion": 2}', "duplicate JSON key 'schemaVersion'")


def test_duplicate_key_among_very_many() -> None:
    """Found in a moment, also where it is the last of 300,000."""
    keys = [b'"%x":0' % n for n in range(300_000)]
    refused(b"{" + b",".join([*keys, keys[-1]]) + b"}", "duplicate JSON key")


def test_keys_that_differ_by_case_alone() -> None:
    """As Go folds them, which takes a long s for an s."""
    for other in ("Layers", "LAYERS", "layer\u017f"):
        document = good_manifest() | {other: []}
        refused(json.dumps(document).encode(), "differs from 'layers' by case alone")


def test_manifest_that_is_an_index_too() -> None:
    refused(json.dumps(good_manifest() | {"manifests": []}).encode(), "as an index, too")


def test_config_that_does_not_fit() -> None:
    config = json.dumps(GOOD_CONFIG).encode()
    manifest = parse_manifest(json.dumps(good_manifest(config, layers=2)).encode())
    assert isinstance(manifest, Manifest)
    with pytest.raises(LayerError, match="the config has 1 diff_ids, the manifest 2 layers"):
        parse_config(config, manifest)
    with pytest.raises(LayerError, match="the config has digest"):
        parse_config(config + b" ", manifest)


@pytest.mark.root
def test_diff_id_that_is_another(tmp_path: Path) -> None:
    """The blob is what the manifest says, and unpacks to what the config does not."""

    def lie(config: Document) -> None:
        config["rootfs"]["diff_ids"] = [DIGESTS[0]]

    build_oci(tmp_path / "oci", "t", [[Entry(b"a")]], edit_config=lie)
    with pytest.raises(LayerError, match=f"the config's diff_ids say {DIGESTS[0]}"):
        import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t")
    assert refs(tmp_path / "repo") == []


# -- for as long as one likes --


@pytest.mark.fuzz
@pytest.mark.parametrize(
    "test",
    [
        test_flipped_bits_are_refused_or_do_what_they_say,
        test_one_flipped_bit_changes_what_it_is_part_of,
        test_any_bytes_as_a_blob,
        test_damaged_packed_blob,
        test_any_bytes_as_documents,
        test_any_json_as_a_manifest,
        test_any_json_as_a_config,
    ],
)
def test_fuzz(test: Callable[[], None]) -> None:
    again_and_again(test)
