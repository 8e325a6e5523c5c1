"""`--to tar:FILE`, `oci:DIR` and `oci-archive:FILE`: what other tools make of them."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.copies.conftest import Images, store_in
from tests.tools import umoci
from tests.tools.command import ROOT
from tests.tools.entry import Entry
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import SCRIPT
from tests.tools.importrelease import released, run_release
from tests.tools.podman import Podman, new_podman
from tests.tools.process import Argument, CommandError, run
from tests.tools.snapshot import assert_same, snapshot

pytestmark = pytest.mark.root


def test_a_tar_is_the_directory(images: Images, tmp_path: Path) -> None:
    images.copied(tmp_path / "directory")
    tar, store = tmp_path / "store.tar", tmp_path / "store"
    outcome = images.to(f"tar:{tar}", "--json", "--quiet")
    digest = f"sha256:{hashlib.sha256(tar.read_bytes()).hexdigest()}"
    assert outcome.document["to"]["digest"] == digest
    store.mkdir()
    run(["tar", f"--directory={store}", "--xattrs", "--xattrs-include=*", "-xpf", tar])
    unpacked, directory = snapshot(store), store_in(tmp_path / "directory")
    del unpacked[b"."]
    assert_same(unpacked, directory, ("unpacked", "directory"), ignore=())
    assert new_podman(tmp_path / "podman", store).run(images.cut) == "cut"


def test_the_same_bytes_in_a_file_and_on_standard_output(images: Images, tmp_path: Path) -> None:
    tar = tmp_path / "store.tar"
    commit = images.copied(f"tar:{tar}")
    inode, when = tar.stat().st_ino, tar.stat().st_ctime_ns
    assert images.to(f"tar:{tar}").said("hint") == ["--update replaces it"]
    assert images.to(f"tar:{tar}", "--update", "--unchanged-exit-77").status == 77
    assert (tar.stat().st_ino, tar.stat().st_ctime_ns) == (inode, when)
    argv: list[Argument] = [SCRIPT, "--tls-verify=false", "--to=tar:-", images.one, images.cut]
    out = tmp_path / "out.tar"
    env = {"XDG_CACHE_HOME": str(images.cache), "HOME": str(tmp_path)}
    run(["sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "sh", out, *argv], env=env)
    assert out.read_bytes() == tar.read_bytes()
    images.copied(f"tar:{tar}", "--update", images.one)
    assert tar.read_bytes() != out.read_bytes()
    assert commit
    tar.unlink()
    for flags, status in ((["--dry-run"], 0), ([], 0), (["--update"], 77)):
        assert images.to(f"tar:{tar}", "--unchanged-exit-77", *flags, images.one).status == status


@pytest.mark.parametrize("transport", ["oci", "oci-archive"])
def test_an_image_with_nothing_but_the_store(
    images: Images, tmp_path: Path, transport: str
) -> None:
    images.copied(tmp_path / "directory")
    out, layout = tmp_path / "out", tmp_path / "layout"
    images.copied(f"{transport}:{out}:t")
    run(["skopeo", "copy", "--quiet", f"{transport}:{out}:t", f"oci:{layout}:t"])
    root = umoci.unpack(layout, "t", tmp_path / "root") / STORE
    unpacked = snapshot(root)
    del unpacked[b"."]
    assert_same(unpacked, store_in(tmp_path / "directory"), ("unpacked", "directory"))
    config = json.loads(run(["skopeo", "inspect", "--config", f"oci:{layout}:t"]))
    assert config["architecture"] == "amd64"


def test_a_release(images: Images, tmp_path: Path) -> None:
    source, store = tmp_path / "release.json", tmp_path / "store"
    components = {"one": images.one, "cut": images.cut}
    source.write_text(json.dumps({"release": {"base": "4.20.1"}, "images": components}))
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    document = released(None, f"--to={store}", source, env=env)
    assert document["to"] == {"place": str(store), "unchanged": False, "digest": None}
    assert new_podman(tmp_path / "podman", store).run(images.cut) == "cut"


def test_a_release_for_two_architectures_is_two_stores(images: Images, tmp_path: Path) -> None:
    source = tmp_path / "release.json"
    source.write_text(json.dumps({"release": {"base": "4.20.1"}, "images": {"one": images.one}}))
    env = {"XDG_CACHE_HOME": str(images.cache)}
    arches = (f"amd64={source}", f"arm64={source}")
    outcome = run_release(None, f"--to={tmp_path}/store", *arches, "--dry-run", env=env)
    assert outcome.said("hint") == ["import for one --arch at a time"], outcome.stderr
    assert run_release(None, f"--to={tmp_path}/store", *arches, env=env).status == 1
    assert not (tmp_path / "store").exists()


#: The stage runs our command by the machine's own files.
STAGE = """\
FROM oci:{base}:os AS store
RUN {command} --tls-verify=false --to=/store {flags} {cut} {one}
FROM scratch
COPY --from=store /store /usr/lib/containers/storage
"""


def built(
    images: Images,
    podman: Podman,
    home: Path,
    *,
    flags: str = "",
    text: str = STAGE,
    more: tuple[str, ...] = (),
) -> Path:
    """The store in an image that a Containerfile makes, without privileges."""
    links = [Entry(n, "symlink", mode=0o777, link=b"usr/" + n) for n in (b"bin", b"lib", b"lib64")]
    folders = [Entry(n, "dir", mode=0o755) for n in (b"usr", b"etc", b"tmp", b"var", b"var/tmp")]
    issue = Entry(b"issue", content=b"an issue\n")
    base = build_oci(home / "base", "os", [[*links, *folders, issue]]).directory
    context = home / "context"
    context.mkdir()
    names = {"base": base, "command": SCRIPT, "cut": images.cut, "one": images.one}
    (context / "Containerfile").write_text(text.format(**names, flags=flags))
    seen = {"/usr", "/etc", str(ROOT), str(SCRIPT.parent.parent)}
    podman.build(context, "localhost/os", *(f"--volume={path}:{path}:ro" for path in seen), *more)
    podman("push", "--quiet", "localhost/os", f"oci:{home}/built:t")
    return umoci.unpack(home / "built", "t", home / "root") / STORE


def test_a_stage_of_a_containerfile(images: Images, podman: Podman, tmp_path: Path) -> None:
    images.copied(tmp_path / "directory")
    store = built(images, podman, tmp_path)
    assert_same(store_in(store), store_in(tmp_path / "directory"), ("built", "root's"))
    assert new_podman(tmp_path / "other", store).run(images.cut) == "cut"


def test_a_stage_has_no_whiteouts(images: Images, podman: Podman, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as failed:
        built(images, podman, tmp_path, flags="--whiteouts=quoted")
    assert "the whiteout overlay/" in str(failed.value)
    assert "--whiteouts=none makes a store that has none" in str(failed.value)


def diff_ids(layout: Path) -> list[str]:
    """The diffIDs of the image `t`."""
    config = json.loads(run(["skopeo", "inspect", "--config", f"oci:{layout}:t"]))
    found: list[str] = config["rootfs"]["diff_ids"]
    return found


#: The operating system's files are the lowest layer, and the store's layers are on top of it.
ROOTFS = """\
FROM oci:{base}:os AS os
RUN echo embedded > /issue
FROM oci:{base}:os AS store
RUN --mount=type=bind,from=os,target=/os \\
    {command} --repo=/repo --tls-verify=false --whiteouts=none --branch=images {cut} {one} && \\
    {image_store} embed --repo=/repo images --rootfs=/os --to=oci:/out/device --storage-conf
FROM oci:{out}/device
CMD ["cat", "/issue"]
"""


def test_a_root_file_system_of_a_containerfile(
    images: Images, podman: Podman, tmp_path: Path
) -> None:
    """`image-store embed --rootfs` in a build without privileges, with `FROM oci:` as chunkah's
    documentation has it ("Splitting an image at build time"). The store's layers are those of an
    image that has nothing else, but for the last one, which has storage.conf as well."""
    images.copied(f"oci:{tmp_path}/plain:t")
    out = tmp_path / "out"
    out.mkdir()
    command = str(SCRIPT.with_name("image-store"))
    text = ROOTFS.replace("{out}", str(out)).replace("{image_store}", command)
    flags = ("--skip-unused-stages=false", f"--volume={out}:/out")
    store = built(images, podman, tmp_path, text=text, more=flags)
    assert diff_ids(tmp_path / "built")[1:-1] == diff_ids(tmp_path / "plain")[:-1]
    root = tmp_path / "root"
    assert (root / "issue").read_text() == "embedded\n"
    assert f"/{STORE}" in (root / "etc/containers/storage.conf").read_text()
    assert new_podman(tmp_path / "other", store).run(images.cut) == "cut"
