"""What stores keep beside the files, parsed: tar-split records, JSON, names, overlay's xattrs."""

import base64
import gzip
import json
import zlib
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.digest import Digest
from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.oci.manifest import Manifest, parse_manifest
from layers.storage.docker_records import chain_ids, manifest_for, parse_repositories, qualified
from layers.storage.image import short_name
from layers.storage.image_record import any_images
from layers.storage.layer_record import any_layers, complete_chain
from layers.storage.select_image import NamedImage, select
from layers.tarsplit.record_reader import FileContent, assembled, segments, tar_size
from layers.tree.layer_reader import LayerReader
from layers.tree.overlay_xattrs import (
    check_complete,
    is_opaque,
    overridden,
    redirected,
    whiteout_by,
    without_marks,
)
from tests.tools.fuzz import examples
from tests.tools.tarbuild import Entry, tar_bytes

A, B = "a" * 64, "b" * 64
SHA_A, SHA_B = f"sha256:{A}", f"sha256:{B}"


def chunks(data: bytes, size: int = 1000) -> Generator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


# -- tar-split --


def packed(*lines: dict[str, Any] | str) -> bytes:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    return gzip.compress("\n".join([*texts, ""]).encode(), mtime=0)


def raw(data: bytes) -> dict[str, Any]:
    return {"type": 2, "payload": base64.b64encode(data).decode(), "position": 0}


def recorded(tar: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The record that we write of a tar, and its files' contents."""
    reader = LayerReader(chunks(tar), DeviceNodes.SKIP)
    contents = {}
    for leaf, entry in reader:
        contents[entry.path] = reader.whole() if entry.kind is Kind.FILE else b""
        leaf.checksum = entry.path.decode()
    return reader.tar_split(lambda path: chunks(contents[path.encode()])), contents


@examples(100)
@given(
    st.dictionaries(
        st.text("abc.é/", min_size=1, max_size=6).filter(lambda s: s.strip("./") == s),
        st.binary(max_size=3000),
        max_size=5,
    ),
    st.integers(1, 5000),
)
def test_the_tar_is_made_again_from_its_record(files: dict[str, bytes], size: int) -> None:
    flat = {name.replace("/", "-"): content for name, content in files.items()}
    tar = tar_bytes([Entry(name.encode(), content=data) for name, data in flat.items()])
    record, contents = recorded(tar)
    parts = list(segments(chunks(record, size)))
    assert tar_size(parts) == len(tar)
    again = assembled(parts, lambda part: chunks(contents[part.path], size))
    assert b"".join(again) == tar


def test_every_kind_of_line() -> None:
    name = base64.b64encode(b"caf\xe9").decode()
    record = packed(
        raw(b"header"),
        {"type": 1, "name": "dir/", "payload": None, "position": 1},
        {"type": 1, "name": "f", "size": 3, "payload": "AAAAAAAAAAE=", "position": 2},
        {"type": 1, "name_raw": name, "size": 2, "payload": None},
        {"type": 1, "name": "empty", "size": 0, "payload": "AAAAAAAAAAA="},
        raw(b""),
        raw(b"end"),
    )
    found = list(segments(chunks(record, 7)))
    assert found == [b"header", FileContent(b"f", 3, 1), FileContent(b"caf\xe9", 2, None), b"end"]


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "[]",
        "{}",
        {"type": 3},
        {"type": 2, "payload": "%"},
        {"type": 2},
        {"type": 1, "size": 1},
        {"type": 1, "name": "f", "size": -1},
        {"type": 1, "name": "f", "size": "many"},
        {"type": 1, "name": "f", "size": 1, "payload": "AAAA"},
        {"type": 1, "name": "f", "size": float("inf")},
        {"type": 1, "name": "\ud800", "size": 1},
        '{"type": 1, "name": "f", "size": %s}' % ("9" * 5000),
        "[" * 100_000,
    ],
)
def test_a_line_that_is_none_is_refused(line: dict[str, Any] | str) -> None:
    with pytest.raises(LayerError, match="has a line that is none"):
        list(segments(chunks(packed(raw(b"x"), line))))


def test_a_line_without_end_is_refused() -> None:
    """Before it fills the memory: it is a bomb that packs to nothing."""
    packer, served = zlib.compressobj(wbits=31), 0

    def bomb() -> Iterator[bytes]:
        nonlocal served
        yield packer.compress(b'{"type":2,"payload":"') + packer.flush(zlib.Z_SYNC_FLUSH)
        while served < 1 << 32:
            served += 1 << 24
            yield packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_SYNC_FLUSH)

    with pytest.raises(LayerError, match="has a line of over"):
        list(segments(bomb()))
    assert served < 1 << 30


@pytest.mark.parametrize("cut", [1, 9, 20])
def test_a_record_that_is_cut_short_is_refused(cut: int) -> None:
    record = packed(raw(b"x" * 100))
    with pytest.raises(LayerError, match="gzip"):
        list(segments(chunks(record[:-cut])))


def test_a_content_that_has_changed_is_named() -> None:
    record, _ = recorded(tar_bytes([Entry(b"a", content=b"1"), Entry(b"b/c", content=b"2")]))
    again = assembled(segments(chunks(record)), lambda part: chunks(part.path[:1]))
    with pytest.raises(LayerError) as caught:
        list(again)
    assert str(caught.value).startswith("a: the file's content is not what it was")


# -- containers-storage --


def layers_json(**more: Any) -> bytes:
    """A base, one on top, and a container's."""
    base = {"id": A, "diff-digest": SHA_A, "diff-size": 10240, "created": "2024-01-01T00:00:00Z"}
    container = {"id": "c" * 64, "parent": B, "names": ["x"]}
    return json.dumps([base, {"id": B, "parent": A, **more}, container]).encode()


def test_layers_and_chains() -> None:
    layers = any_layers(layers_json(**{"diff-digest": SHA_B, "diff-size": 1}))
    assert layers[A].diff_id == Digest.parse(SHA_A)
    assert (layers[A].diff_size, layers[A].parent, layers[A].complete) == (10240, "", True)
    assert layers["c" * 64].diff is None
    found = complete_chain(layers, B)
    assert found is not None
    assert [layer.id for layer in found] == [A, B]
    assert complete_chain(layers, "") == ()


@pytest.mark.parametrize(
    "more", [{"parent": "d" * 64}, {"parent": B}, {"flags": {"incomplete": True}}]
)
def test_chains_that_do_not_end_in_a_base(more: dict[str, Any]) -> None:
    assert complete_chain(any_layers(layers_json(**more)), B) is None
    assert complete_chain(any_layers(layers_json(**more)), "e" * 64) is None


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": 1},
        {"id": "../../etc"},
        {"id": ""},
        {"id": A, "diff-digest": "x"},
        {"id": A, "diff-size": -1},
        {"id": A, "flags": []},
        {"id": A, "Parent": B},
    ],
)
def test_layer_records_that_are_none(record: dict[str, Any]) -> None:
    with pytest.raises(LayerError):
        any_layers(json.dumps([record]).encode())


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b"[{}", b'[{"id": "a", "id": "b"}]'])
def test_documents_that_are_none(raw: bytes) -> None:
    with pytest.raises(LayerError):
        any_layers(raw)
    with pytest.raises(LayerError):
        any_images(raw)


def test_images() -> None:
    full = {"id": A, "names": ["r.io/a:1"], "layer": B, "big-data-names": ["manifest"]}
    bare = {"id": B, "names": None}
    first, second = any_images(json.dumps([full, bare]).encode())
    assert (first.names, first.layer, first.big_data) == (("r.io/a:1",), B, ("manifest",))
    assert (second.names, second.layer, second.big_data) == ((), "", ())
    with pytest.raises(LayerError, match="not a list of strings"):
        any_images(json.dumps([{"id": A, "names": [1]}]).encode())


def test_a_store_larger_than_a_manifest_may_be() -> None:
    records = [{"id": f"{n:064x}", "names": ["r.io/a/b/c/d:tag"] * 10} for n in range(20_000)]
    raw = json.dumps(records).encode()
    assert len(raw) > 4 << 20
    assert len(any_images(raw)) == 20_000


# -- Docker --


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx:1", "docker.io/library/nginx:1"),
        ("me/app:1", "docker.io/me/app:1"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("docker.io/me/app:1", "docker.io/me/app:1"),
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("localhost/a:1", "localhost/a:1"),
        ("host:5000/a:1", "host:5000/a:1"),
        (f"nginx@{SHA_A}", f"docker.io/library/nginx@{SHA_A}"),
    ],
)
def test_names_written_out(name: str, full: str) -> None:
    assert qualified(name) == full


def test_repositories() -> None:
    document = {
        "nginx": {"nginx:1": SHA_A, f"nginx@{SHA_B}": SHA_A},
        "quay.io/x": {"quay.io/x:2": SHA_A, "quay.io/x:3": SHA_B},
    }
    found = parse_repositories(json.dumps({"Repositories": document}).encode())
    assert found == {
        Digest.parse(SHA_A): (
            "docker.io/library/nginx:1",
            f"docker.io/library/nginx@{SHA_B}",
            "quay.io/x:2",
        ),
        Digest.parse(SHA_B): ("quay.io/x:3",),
    }


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"Repositories": {"a": 1}}', b'{"Repositories": {"a": {"a:1": "x"}}}']
)
def test_repositories_that_are_none(raw: bytes) -> None:
    with pytest.raises(LayerError):
        parse_repositories(raw)


def test_chain_ids_are_those_of_the_image_spec() -> None:
    one, two = Digest.parse(SHA_A), Digest.parse(SHA_B)
    # printf 'sha256:aaa… sha256:bbb…' | sha256sum
    assert chain_ids([one, two]) == (one, Digest.of(f"{SHA_A} {SHA_B}".encode()))
    assert chain_ids([]) == ()


def test_the_manifest_made_for_an_image() -> None:
    config = b'{"rootfs":{}}'
    manifest = parse_manifest(manifest_for(config, [(Digest.parse(SHA_A), 512)]))
    assert isinstance(manifest, Manifest)
    assert manifest.config.digest == Digest.of(config)
    assert [(layer.digest, layer.size) for layer in manifest.layers] == [(Digest.parse(SHA_A), 512)]


# -- names --


ONE = NamedImage(A, ("docker.io/library/nginx:latest", "quay.io/x/nginx:2"), (Digest.parse(SHA_A),))
TWO = NamedImage(B, ("localhost/app:1", "quay.io/y/nginx:2"), (Digest.parse(SHA_B),))
CAFE = NamedImage("cafe" + "0" * 60, ("localhost/babe:latest", f"r.io/z@{SHA_A}"), ())


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("docker.io/library/nginx", ONE),
        ("docker.io/library/nginx:latest", ONE),
        ("nginx", ONE),
        ("library/nginx", ONE),
        ("app:1", TWO),
        ("y/nginx:2", TWO),
        ("app", None),
        ("pp:1", None),
        ("nginx:3", None),
        (A, ONE),
        (f"sha256:{A}", ONE),
        ("aaa", ONE),
        ("cafe", CAFE),
        ("babe", CAFE),
        ("dddd", None),
        (f"docker.io/library/nginx@{SHA_A}", ONE),
        (f"quay.io/x/nginx@{SHA_A}", ONE),
        (f"nginx@{SHA_B}", TWO),
        (f"nginx:whatever@{SHA_B}", TWO),
        (f"app@{SHA_A}", None),
        (f"r.io/z@{SHA_A}", CAFE),
        ("", None),
    ],
)
def test_what_a_name_means(text: str, image: NamedImage | None) -> None:
    assert select([ONE, TWO, CAFE], text) == image


def test_a_digest_alone_is_enough_if_one_image_has_it() -> None:
    images = [NamedImage(A, (), (Digest.parse(SHA_B),)), NamedImage("c" * 64, ("r.io/c:1",), ())]
    assert select(images, SHA_B) == images[0]
    with pytest.raises(LayerError, match="could mean 2 images"):
        select([*images, NamedImage("d" * 64, (), (Digest.parse(SHA_B),))], SHA_B)


@pytest.mark.parametrize("text", ["nginx:2", "c"])
def test_what_could_mean_several_images(text: str) -> None:
    other = NamedImage("c" * 64, (), ())
    with pytest.raises(LayerError, match="could mean 2 images"):
        select([ONE, TWO, CAFE, other], text)


# -- overlayfs's xattrs --


@pytest.mark.parametrize(
    ("name", "value", "opaque", "whiteout"),
    [
        (b"trusted.overlay.opaque", b"y", True, False),
        (b"user.overlay.opaque", b"y", True, False),
        (b"user.fuseoverlayfs.opaque", b"y", True, False),
        (b"trusted.overlay.opaque", b"x", False, False),
        (b"trusted.overlay.whiteout", b"", False, True),
        (b"user.overlay.whiteout", b"y", False, True),
        (b"trusted.overlay.overlay.opaque", b"y", False, False),
        (b"trusted.overlay.overlay.whiteout", b"", False, False),
        (b"user.opaque", b"y", False, False),
    ],
)
def test_marks(name: bytes, value: bytes, opaque: bool, whiteout: bool) -> None:
    xattrs = ((name, value),)
    assert (is_opaque(xattrs), bool(whiteout_by(xattrs))) == (opaque, whiteout)


def test_what_is_not_the_file_s_own() -> None:
    own = ((b"security.capability", b"c"), (b"user.a", b"1"))
    marks = tuple(
        (name, b"y")
        for name in (
            b"trusted.overlay.origin",
            b"user.containers.override_stat",
            b"user.fuseoverlayfs.nlink",
            b"user.overlay.impure",
        )
    )
    assert without_marks(own + marks) == own


@pytest.mark.parametrize(
    ("name", "directory"),
    [(b"trusted.overlay.metacopy", False), (b"user.overlay.redirect", True)],
)
def test_what_is_elsewhere(name: bytes, directory: bool) -> None:
    with pytest.raises(LayerError, match="not all there"):
        check_complete(((name, b""),), directory=directory)
    check_complete(((name, b""),), directory=not directory)
    check_complete(((b"user.metacopy", b""),), directory=directory)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, (b"a", b"b")),
        (b"c", (b"a", b"c")),
        (b"/x", (b"x",)),
        (b"/x/y", (b"x", b"y")),
        (b"x/y", None),
        (b"/x//y", None),
        (b"..", None),
        (b"/x/..", None),
        (b"", None),
        (b"/", None),
    ],
)
def test_where_a_redirect_leads(value: bytes | None, path: tuple[bytes, ...] | None) -> None:
    xattrs = () if value is None else ((b"trusted.overlay.redirect", value),)
    if path is not None:
        assert redirected((b"a", b"b"), xattrs) == path
        return
    with pytest.raises(LayerError, match="redirect is"):
        redirected((b"a", b"b"), xattrs)


@pytest.mark.parametrize(
    ("said", "owner", "kind", "device"),
    [
        (b"0:0:0755", (0o755, 0, 0), Kind.FILE, (0, 0)),
        (b"33:34:04711", (0o4711, 33, 34), Kind.FILE, (0, 0)),
        (b"1:2:0100644", (0o644, 1, 2), Kind.FILE, (0, 0)),
        (b"0:0:0777:symlink", (0o777, 0, 0), Kind.SYMLINK, (0, 0)),
        (b"0:0:0755:dir", (0o755, 0, 0), Kind.DIRECTORY, (0, 0)),
        (b"0:0:0644:file", (0o644, 0, 0), Kind.FILE, (0, 0)),
        (b"0:6:0660:block-8-1", (0o660, 0, 6), Kind.BLOCK, (8, 1)),
        (b"0:0:0666:char-1-3", (0o666, 0, 0), Kind.CHAR, (1, 3)),
        (b"0:0:0600:pipe", (0o600, 0, 0), Kind.FIFO, (0, 0)),
    ],
)
def test_who_a_file_belongs_to(
    said: bytes, owner: tuple[int, int, int], kind: Kind, device: tuple[int, int]
) -> None:
    xattrs = ((b"user.containers.override_stat", said),)
    found = overridden(Owner(0o700, 1000, 1000, xattrs), Kind.FILE, (0, 0))
    assert found == (Owner(*owner, xattrs), kind, device)


@pytest.mark.parametrize(
    "said",
    [
        *(b"", b"0:0", b"root:root:0755", b"0:0:9", b"-1:0:0755", b"0:0:0755:\n"),
        *(b"0:4294967295:0755", b"0:" + b"9" * 5000 + b":0755", b"0:0:0755:char-1-" + b"9" * 5000),
        *(b"0:0:0755:socket", b"0:0:0755:door"),
    ],
)
def test_an_owner_that_is_none(said: bytes) -> None:
    xattrs = ((b"user.containers.override_stat", said),)
    with pytest.raises(LayerError, match="override_stat"):
        overridden(Owner(0o700, 0, 0, xattrs), Kind.FILE, (0, 0))


@pytest.mark.parametrize("name", ["quay.io/x/y@sha256:", "containers-storage:@"])
def test_a_digest_and_an_id_are_cut_where_a_name_is_shown(name: str) -> None:
    assert short_name(name + 32 * "c1").endswith("@c1c1c1c1c1c1")
