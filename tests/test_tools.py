"""The tool box itself, proven with the real things: what it makes, other tools must read."""

import io
import json
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from hypothesis import given

from fixtures.images import definition
from fixtures.images.definition import DefinitionError
from tests import tools
from tests.tools import ostreerepo, patience, umoci
from tests.tools.busybox import busybox_layer
from tests.tools.entry import Format, SparseStyle
from tests.tools.fuzz import examples
from tests.tools.image import BuiltImage, Compression, build_index, build_oci
from tests.tools.overlay import overlay_mount
from tests.tools.podman import Podman, new_podman
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.store import store_images, store_layers, store_lowers
from tests.tools.strategies import stacks
from tests.tools.tarbuild import Entry, Sparse, opaque, pax_global, tar_bytes, whiteout
from tests.tools.written import written

SMALL = [Entry(b"etc", "dir", mode=0o755), Entry(b"etc/word", content=b"word\n")]


def unpack(data: bytes, where: Path) -> Path:
    """Unpacks with GNU tar, xattrs and owners and all."""
    where.mkdir()
    archive = where.with_suffix(".tar")
    archive.write_bytes(data)
    run(["tar", "--xattrs", "--xattrs-include=*", "-xpf", archive, "-C", where])
    return where


def members(data: bytes) -> list[tarfile.TarInfo]:
    """The archive as Python's reader sees it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


# -- tarbuild --


@pytest.mark.root
def test_tar_of_each_kind_is_what_gnu_tar_unpacks(tmp_path: Path) -> None:
    entries = [
        Entry(b"d", "dir", mode=0o2755, uid=3, gid=4, mtime=7),
        Entry(b"d/f", mode=0o4711, uid=5, gid=6, content=b"text", xattrs={b"user.a": b"\x00\xff="}),
        Entry(b"d/h", "hardlink", link=b"d/f"),
        Entry(b"d/s", "symlink", link=b"../nowhere"),
        Entry(b"d/c", "char", device=(1, 3)),
        Entry(b"d/p", "fifo"),
    ]
    found = snapshot(unpack(tar_bytes(entries), tmp_path / "out"))
    kinds = {path: node.kind for path, node in found.items() if path != b"."}
    assert kinds == {
        b"d": "dir",
        b"d/f": "file",
        b"d/h": "file",
        b"d/s": "symlink",
        b"d/c": "char",
        b"d/p": "fifo",
    }
    file = found[b"d/f"]
    assert (file.mode, file.uid, file.gid) == (0o4711, 5, 6)
    assert file.xattrs == {b"user.a": b"\x00\xff="}
    assert found[b"d/h"].links == b"d/f"
    assert found[b"d/s"].target == b"../nowhere"
    assert found[b"d/c"].device == (1, 3)
    assert (found[b"d"].mode, found[b"d"].mtime_ns) == (0o2755, 7 * 10**9)


@pytest.mark.parametrize("form", ["pax", "gnu", "ustar"])
def test_long_names_and_large_numbers_survive_in_each_format(form: Format) -> None:
    folder = b"/".join([b"n" * 60] * 2)
    target = b"t" * (100 if form == "ustar" else 300)
    uid = 2097151 if form == "ustar" else 4294967294
    entry = Entry(folder + b"/x", "symlink", link=target, uid=uid, mtime=12, format=form)
    (found,) = members(tar_bytes([entry]))
    assert found.name.encode() == entry.path
    assert (found.linkname.encode(), found.uid, found.mtime) == (target, uid, 12)


def test_base256_and_negative_and_fractional_times() -> None:
    entries = [
        Entry(b"a", uid=1000, base256=True, format="gnu", mtime=-5, content=b"x" * 600),
        Entry(b"b", mtime=-5.5),
    ]
    first, second = members(tar_bytes(entries))
    assert (first.uid, first.mtime, first.size, second.mtime) == (1000, -5, 600, -5.5)


def test_names_that_are_not_ascii_are_raw_bytes(tmp_path: Path) -> None:
    entries = [Entry(b"caf\xe9", content=b"1"), Entry(b"caf\xe9-gnu", format="gnu")]
    found = snapshot(unpack(tar_bytes(entries), tmp_path / "out"))
    assert {b"caf\xe9", b"caf\xe9-gnu"} <= found.keys()


@pytest.mark.parametrize("style", ["gnu", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 40])
def test_sparse_files_are_what_gnu_tar_and_python_read(
    tmp_path: Path, style: SparseStyle, count: int
) -> None:
    regions = tuple((8192 * n, b"%04d" % n * 128) for n in range(1, count + 1))
    sparse = Sparse(style, 8192 * (count + 2), regions)
    data = tar_bytes([Entry(b"dir/holes", sparse=sparse), Entry(b"next", content=b"n")])
    out = unpack(data, tmp_path / "out")
    assert (out / "dir/holes").read_bytes() == sparse.expanded()
    assert (out / "next").read_bytes() == b"n"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        reader = archive.extractfile("dir/holes")
        assert reader is not None
        assert reader.read() == sparse.expanded()


def test_oddities_are_written_as_told() -> None:
    good = tar_bytes([Entry(b"a", content=b"abc")], trailer=False)
    assert len(good) == 1024
    bad = tar_bytes([Entry(b"a", content=b"abc", bad_checksum=True)])
    with pytest.raises(tarfile.ReadError):
        members(bad)
    short = tar_bytes([Entry(b"a", content=b"abc", unpadded=True)], trailer=False)
    assert len(short) == 515
    (claimed,) = members(tar_bytes([Entry(b"a", content=b"abc", claimed_size=2)]))
    assert claimed.size == 2
    (raw,) = members(tar_bytes([Entry(b"a", raw={"mode": b"0000123 "})]))
    assert raw.mode == 0o123
    (recorded,) = members(tar_bytes([Entry(b"a", records=[(b"path", b"b"), (b"path", b"c")])]))
    assert recorded.name == "c"
    (long,) = members(tar_bytes([Entry(b"short", gnu_long=True)]))
    assert long.name == "short"
    (commented,) = members(tar_bytes([pax_global([(b"comment", b"x")]), Entry(b"a")]))
    assert commented.pax_headers == {"comment": "x"}


def test_a_pax_records_length_counts_itself() -> None:
    for length in (90, 91, 92, 93, 94, 992, 993, 994, 995):
        (found,) = members(tar_bytes([Entry(b"a", records=[(b"k", b"v" * length)])]))
        assert found.pax_headers["k"] == "v" * length


# -- definition --


def test_a_definition_says_all_an_entry_can_have() -> None:
    text = r"""
    # a comment
    layer
    dir  etc mode=0700 uid=1 gid=2
    file etc/passwd mode=0600 text="root \"x\n"
    file "a b/caf\xc3\xa9" size=5 fill=ab   # another
    file x xattr:user.a=0x00ff xattr:user.b=text format=gnu mtime=1.5
    symlink bin -> usr/bin
    hardlink a -> etc/passwd
    layer
    whiteout etc/gone
    whiteout top
    opaque etc
    char dev/null device=1:3
    fifo run/x
    """.replace(r"\"", r"\x22")
    first, second = definition.parse(text)
    assert first == [
        Entry(b"etc", "dir", mode=0o700, uid=1, gid=2),
        Entry(b"etc/passwd", mode=0o600, content=b'root "x\n'),
        Entry(b"a b/caf\xc3\xa9", content=b"ababa"),
        Entry(b"x", xattrs={b"user.a": b"\x00\xff", b"user.b": b"text"}, format="gnu", mtime=1.5),
        Entry(b"bin", "symlink", mode=0o777, link=b"usr/bin"),
        Entry(b"a", "hardlink", link=b"etc/passwd"),
    ]
    assert second == [
        whiteout(b"etc/gone"),
        whiteout(b"top"),
        opaque(b"etc"),
        Entry(b"dev/null", "char", device=(1, 3)),
        Entry(b"run/x", "fifo"),
    ]
    assert [entry.path for entry in second[:3]] == [
        b"etc/.wh.gone",
        b".wh.top",
        b"etc/.wh..wh..opq",
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("thing x", "unknown kind of entry 'thing'"),
        ("file", "'file' needs a path"),
        ("file x mode=9", "mode=9"),
        ("file x color=red", "unknown option 'color'"),
        ("file x mode", "'mode' is no NAME=VALUE"),
        ("file x uid=1 uid=2", "'uid' stands there twice"),
        ("symlink x y", "a symlink is written"),
        ("file x text='", "No closing quotation"),
        (r"file x\q", "unknown escape"),
        ("file x fill=a", "'fill' without 'size'"),
        ("char x device=1", "MAJOR:MINOR"),
    ],
)
def test_a_bad_definition_is_named_with_file_and_line(line: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=rf"^some\.layers:3: .*{why}"):
        definition.parse(f"# one\nlayer\n{line}\n", "some.layers")


def test_a_definition_begins_with_a_layer() -> None:
    with pytest.raises(DefinitionError, match="t:1: an entry stands before"):
        definition.parse("dir x", "t")


def test_all_fixtures_load(fixtures: Path) -> None:
    paths = sorted(fixtures.glob("*.layers"))
    assert len(paths) >= 4
    assert all(definition.load(path) for path in paths)


# -- image --


def test_the_same_image_has_the_same_digest_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_oci(tmp_path / "a", "t", [SMALL])
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert first.digest == build_oci(tmp_path / "b", "t", [SMALL]).digest
    other = build_oci(tmp_path / "b", "u", [SMALL], created=None)
    assert other.digest != first.digest
    assert other.layers == first.layers


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_skopeo_reads_our_layout(tmp_path: Path, layout: Path, compression: Compression) -> None:
    built = build_oci(layout, "t", [SMALL, SMALL], compression=compression)
    run(["skopeo", "copy", "--quiet", "--preserve-digests", f"oci:{layout}:t", f"dir:{tmp_path}/d"])
    assert (tmp_path / "d/manifest.json").read_bytes() == built.read(built.manifest)
    config = json.loads(run(["skopeo", "inspect", "--config", f"oci:{layout}:t"]))
    assert config["rootfs"]["diff_ids"] == list(built.diff_ids)


def test_documents_can_be_bent(layout: Path) -> None:
    def shorten(document: dict[str, object]) -> None:
        document["layers"] = []

    built = build_oci(layout, "t", [SMALL], edit_manifest=shorten, architecture="arm64")
    assert json.loads(built.read(built.manifest))["layers"] == []
    assert json.loads(built.read(built.config))["architecture"] == "arm64"


# -- registry --


def copied(reference: str, where: Path, *flags: str) -> bytes:
    """The manifest as skopeo fetched it, with all blobs verified."""
    run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--preserve-digests",
            *flags,
            f"docker://{reference}",
            f"dir:{where}",
        ]
    )
    return (where / "manifest.json").read_bytes()


PLAIN = "--src-tls-verify=false"


@pytest.mark.parametrize(
    ("docker", "compression"),
    # containers/image refuses docker's zstd type before 5.38.
    [(False, "gzip"), (False, "zstd"), (False, "none"), (True, "gzip"), (True, "none")],
)
def test_a_pushed_image_comes_back_byte_for_byte(
    registry: Registry, tmp_path: Path, layout: Path, docker: bool, compression: Compression
) -> None:
    built = build_oci(layout, "t", [SMALL], compression=compression, docker=docker)
    reference = registry.push(built, f"plain/{compression}:{'docker' if docker else 'oci'}")
    registry.blob_requests()
    assert copied(reference, tmp_path / "copy", PLAIN) == built.read(built.manifest)
    assert set(registry.blob_requests()) == {built.config_digest, *built.layer_digests}
    assert registry.blob_requests() == []


def test_skopeo_copies_to_an_oci_layout_of_the_same_digest(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    built = build_oci(layout, "t", [SMALL])
    reference = registry.push(built, "roundtrip")
    assert reference == registry.by_digest(built, "roundtrip")
    run(["skopeo", "copy", "--quiet", PLAIN, f"docker://{reference}", f"oci:{tmp_path}/back:t"])
    index = json.loads((tmp_path / "back/index.json").read_bytes())
    assert index["manifests"][0]["digest"] == built.digest


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_is_pushed_with_its_images(
    registry: Registry, tmp_path: Path, layout: Path, docker: bool
) -> None:
    images = [
        build_oci(layout, arch, [SMALL], architecture=arch, docker=docker)
        for arch in ("amd64", "arm64")
    ]
    index = build_index(layout, "all", images, docker=docker)
    reference = registry.push(index, f"indexed:{docker}")
    assert (
        run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]).encode()
        == index.read()
    )
    for image, arch in zip(images, ("amd64", "arm64"), strict=True):
        override = f"--override-arch={arch}"
        run(["skopeo", override, "inspect", "--tls-verify=false", f"docker://{reference}"])
        raw = requests.get(
            f"{registry.url}/v2/indexed/manifests/{image.digest}",
            headers={"Accept": image.manifest.media_type},
            timeout=patience.SECONDS,
        )
        assert raw.content == image.read(image.manifest)


def test_a_registry_with_password_and_tls(tmp_path: Path, layout: Path) -> None:
    built = build_oci(layout, "t", [SMALL])
    with Registry(auth=("tester", "secret"), tls=True) as registry:
        reference = registry.push(built, "closed:t")
        trust = f"--src-cert-dir={registry.cert_dir}"
        with pytest.raises(CommandError, match=r"authentication required|unauthorized"):
            copied(reference, tmp_path / "a", trust)
        with pytest.raises(CommandError, match="certificate"):
            copied(reference, tmp_path / "b", "--src-creds=tester:secret")
        assert copied(reference, tmp_path / "c", trust, "--src-creds=tester:secret")


def test_blobs_can_be_broken(private_registry: Registry, tmp_path: Path, layout: Path) -> None:
    layers = [[Entry(name, content=os.urandom(5000))] for name in (b"a", b"b", b"c")]
    built = build_oci(layout, "t", layers)
    reference = private_registry.push(built, "broken:t")
    storage, (first, second, third) = private_registry.storage, built.layer_digests
    assert storage.path(first).read_bytes() == built.path(first).read_bytes()
    for damage, digest, why in (
        (storage.corrupt, first, r"Digest did not match|gzip|checksum"),
        (storage.truncate, second, "unexpected EOF|did not match|size"),
        (storage.delete, third, "blob unknown|404"),
    ):
        good = storage.path(digest).read_bytes()
        damage(digest)
        with pytest.raises(CommandError, match=why):
            copied(reference, tmp_path / digest[-8:], PLAIN)
        storage.path(digest).parent.mkdir(exist_ok=True)
        storage.path(digest).write_bytes(good)
    assert copied(reference, tmp_path / "good", PLAIN)


def test_nothing_is_left_of_a_registry() -> None:
    with Registry() as registry:
        url, home = registry.url, registry.storage.root.parent
    assert not home.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=patience.SECONDS)


# -- snapshot --


def test_differences_are_named_by_path_and_field(tmp_path: Path) -> None:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "same").write_text("same")
        (tmp_path / side / "text").write_text(side)
    (tmp_path / "a/text").chmod(0o600)
    (tmp_path / "b/only").mkdir()
    one, other = snapshot(tmp_path / "a"), snapshot(os.fsencode(tmp_path / "b"))
    assert_same(one, one)
    with pytest.raises(AssertionError) as caught:
        assert_same(one, other, ("left", "right"))
    lines = str(caught.value).splitlines()
    assert lines[1] == "only: only in right (dir)"
    assert "text: mode: left 0o600, right 0o644" in lines
    assert any(line.startswith("text: sha256: left '") for line in lines)
    assert len(lines) == 4


def test_only_twenty_differences_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number in range(30):
        (tmp_path / "a" / str(number)).touch()
    with pytest.raises(AssertionError) as caught:
        assert_same(snapshot(tmp_path / "a"), snapshot(tmp_path / "b"))
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("... and 10 more")


# -- overlay and umoci --


def mkwhiteout(path: Path) -> None:
    """overlayfs' own whiteout: a character device 0:0."""
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


@pytest.mark.root
def test_umoci_and_the_kernel_agree_on_deletions(
    tmp_path: Path, layout: Path, fixtures: Path
) -> None:
    layers = definition.load(fixtures / "deletions.layers")
    build_oci(layout, "t", layers)
    theirs = snapshot(umoci.unpack(layout, "t", tmp_path / "umoci"))
    assert b"usr/share/doc/c" in theirs
    assert not theirs.keys() & {b"etc/gone", b"usr/share/doc/a", b"srv/page", b"etc/link-gone"}
    lowers: list[Path] = []
    for number, layer in enumerate(layers):
        kept = [entry for entry in layer if b".wh." not in entry.path]
        lowers.insert(0, unpack(tar_bytes(kept), tmp_path / str(number)))
    for name in ("etc/gone", "etc/again", "etc/link-gone", "usr/share/doc", "srv/page"):
        mkwhiteout(tmp_path / "1" / name)
    # The fixture's third layer re-creates a deleted directory: it hides the lower one anew.
    os.setxattr(tmp_path / "2/usr/share/doc", "trusted.overlay.opaque", b"y")
    with overlay_mount(lowers, tmp_path / "merged") as merged:
        assert_same(snapshot(merged), theirs, ("overlay", "umoci"))
    assert not (tmp_path / "merged").is_mount()


@pytest.mark.root
@pytest.mark.parametrize("count", [1, 2, 127, 400])
def test_overlay_of_many_layers(tmp_path: Path, count: int) -> None:
    base = tmp_path / "a rather long name, with a comma:colon and such to fill the page" / "x"
    lowers = [base / f"{number:064}" / "diff" for number in range(count)]
    for number, lower in enumerate(lowers):
        lower.mkdir(parents=True)
        (lower / "nearest").write_text(str(number))
        (lower / str(number)).touch()
    with overlay_mount(lowers, tmp_path / "merged") as merged:
        assert (merged / "nearest").read_text() == "0"
        assert len(list(merged.iterdir())) == count + 1
        with pytest.raises(OSError, match="Read-only"):
            (merged / "new").touch()


@pytest.mark.root
@pytest.mark.parametrize(
    "name", ["opaque-recreated", "hardlinks", "owners-modes-xattrs", "unlisted-parents"]
)
def test_umoci_unpacks_the_fixtures(
    tmp_path: Path, layout: Path, fixtures: Path, name: str
) -> None:
    build_oci(layout, "t", definition.load(fixtures / f"{name}.layers"))
    found = snapshot(umoci.unpack(layout, "t", tmp_path / "out"))
    expected = {
        "opaque-recreated": {b"app/new/inside", b"app/conf", b"other/keep"},
        "hardlinks": {b"bin/late", b"bin/alias", b"data/big-link"},
        "owners-modes-xattrs": {b"with blank/caf\xc3\xa9 # 1", b"var/ping", b"var/empty"},
        "unlisted-parents": {b"srv/new", b"made/for/it"},
    }
    assert expected[name] <= found.keys()
    assert not any(path.endswith(b"/old") for path in found)
    if name == "owners-modes-xattrs":
        assert found[b"var/attrs"].xattrs[b"user.binary"] == b"\x00\xff\x00"
        assert len(found[b"var/ping"].xattrs[b"security.capability"]) == 20
        assert found[b"var/big-owner"].gid == 4294967294
    if name == "unlisted-parents":
        assert (found[b"srv"].mode, found[b"srv"].uid, found[b"made"].mode) == (0o750, 33, 0o755)


# -- ostree --


@pytest.fixture
def tree(tmp_path: Path, fixtures: Path) -> Path:
    """A tree with all that ostree can store, and a quoted whiteout."""
    (layer,) = definition.load(fixtures / "owners-modes-xattrs.layers")
    made = unpack(tar_bytes(layer), tmp_path / "tree")
    quoted = made / "var/.ostree-wh.hidden"
    quoted.touch()
    quoted.chmod(0)
    # libostree leaves out xattrs without a value when it reads a file system.
    os.removexattr(made / "var/attrs", "user.empty")
    return made


@pytest.mark.root
@pytest.mark.parametrize("mode", ["bare", "bare-user", "archive"])
def test_a_checkout_has_owners_modes_xattrs_and_whiteouts(
    tmp_path: Path, tree: Path, mode: ostreerepo.Mode
) -> None:
    repo = ostreerepo.init(tmp_path / "repo", mode)
    checksum = ostreerepo.commit(repo, "a/b", tree)
    assert ostreerepo.refs(repo) == ["a/b"]
    assert ostreerepo.rev_parse(repo, "a/b") == checksum
    assert "/var/.ostree-wh.hidden" in ostreerepo.ls(repo, "a/b", "/var")
    out = snapshot(ostreerepo.checkout(repo, "a/b", tmp_path / "out"))
    hidden = out.pop(b"var/hidden")
    assert (hidden.kind, hidden.device, hidden.mode) == ("char", (0, 0), 0)
    expected = snapshot(tree)
    del expected[b"var/.ostree-wh.hidden"]
    assert_same(out, expected, ("checkout", "tree"))
    plain = ostreerepo.checkout(repo, "a/b", tmp_path / "plain", passthrough_whiteouts=False)
    assert_same(snapshot(plain), snapshot(tree), ("checkout", "tree"))


@pytest.mark.root
def test_fsck_raises_for_a_broken_object(tmp_path: Path, repo: Path, tree: Path) -> None:
    ostreerepo.commit(repo, "x", tree)
    ostreerepo.fsck(repo)
    victim = next((repo / "objects").glob("*/*.file"))
    victim.write_bytes(b"something else")
    with pytest.raises(CommandError, match=r"Corrupted file object"):
        ostreerepo.fsck(repo)


@pytest.mark.root
def test_pull_over_http(tmp_path: Path, repo: Path, tree: Path) -> None:
    source = ostreerepo.init(tmp_path / "archive", "archive")
    checksum = ostreerepo.commit(source, "x", tree)
    ostreerepo.pull_http(source, repo, "x")
    assert ostreerepo.rev_parse(repo, "x") == checksum
    ostreerepo.fsck(repo)


# -- podman --


def pulled(podman: Podman, registry: Registry, built: BuiltImage, name: str) -> str:
    """Pulls an image of ours into podman's own storage."""
    reference = registry.push(built, name)
    podman("pull", "--quiet", "--tls-verify=false", reference)
    return reference


@pytest.mark.root
def test_podman_mounts_what_umoci_unpacks(
    registry: Registry, podman: Podman, tmp_path: Path, layout: Path, fixtures: Path
) -> None:
    built = build_oci(layout, "t", definition.load(fixtures / "deletions.layers"))
    reference = pulled(podman, registry, built, "deletions:t")
    theirs = snapshot(umoci.unpack(layout, "t", tmp_path / "umoci"))
    # containers/storage makes each layer's root 0555, whatever the tar says of it.
    theirs[b"."] = replace(theirs[b"."], mode=0o555)
    with podman.mounted(reference) as mounted:
        assert_same(snapshot(mounted), theirs, ("podman", "umoci"))
    store = podman.home / "root"
    assert [image["id"] for image in store_images(store)] == [built.image_id]
    lowers = store_lowers(store, built.image_id)
    assert len(lowers) == len(store_layers(store)) == 3
    assert lowers[-1].parent.name == built.diff_ids[0].removeprefix("sha256:")
    with overlay_mount(lowers, tmp_path / "merged") as merged:
        assert_same(snapshot(merged), theirs, ("our mount", "umoci"))
    with pytest.raises(AssertionError, match="neither an image nor a layer"):
        store_lowers(store, "0" * 64)


@pytest.mark.root
def test_podman_runs_from_a_read_only_store(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    built = build_oci(layout, "t", [busybox_layer(), SMALL], config={"Cmd": ["cat", "/etc/word"]})
    owner = new_podman(tmp_path / "owner")
    reference = pulled(owner, registry, built, "busybox:t")
    podman = new_podman(tmp_path / "podman", owner.home / "root")
    (image,) = podman.images()
    assert (image["Id"], image["ReadOnly"]) == (built.image_id, True)
    assert podman.inspect(reference)["Digest"] == built.digest
    assert podman.run(reference) == "word\n"
    assert podman.run(reference, "echo", "hello") == "hello\n"
    with pytest.raises(CommandError, match="exit 3"):
        podman.run(reference, "sh", "-c", "exit 3")
    assert podman("ps", "--all", "--quiet") == ""
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(tmp_path) not in mounts


@examples(200)
@given(layers=stacks())
def test_a_definition_that_was_written_is_read_back(layers: definition.Layers) -> None:
    """What a failing random stack prints can become a fixture."""
    assert tar_of(definition.parse(written(layers))) == tar_of(layers)


def tar_of(layers: definition.Layers) -> list[bytes]:
    return [tar_bytes(layer) for layer in layers]


def test_index_names_every_helper() -> None:
    text = tools.__doc__ or ""
    helpers = {path.stem for path in Path(tools.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name for name in helpers if f"`{name}`" not in text} == set()
