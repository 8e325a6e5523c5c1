"""Whatever is wrong: exit 1, one line that names it, a hint, no image's ref moved, a clean repo."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.closedport import closed_port
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, Document, Edit, Packed, build_index, build_oci
from tests.tools.importimage import Outcome, imported, run_import
from tests.tools.layout import digest_of
from tests.tools.ostreerepo import fsck, heads, init, ostree
from tests.tools.overlay import unmount
from tests.tools.process import Argument, run
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

SMALL = [Entry(b"etc", "dir", mode=0o755), Entry(b"etc/word", content=b"word\n")]
#: Does not compress, so that a part of it is a part of the layer, too.
NOISE = b"".join(bytes.fromhex(digest_of(b"%d" % n)[7:]) for n in range(10000))
LARGE = [Entry(b"noise", content=NOISE)]
ZEROS = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Repo:
    """A repo with an image on a branch, which a failing import may not touch."""

    path: Path
    before: dict[str, str]

    def refuses(
        self, *arguments: Argument, says: str, hint: str = "", tls: bool = False
    ) -> Outcome:
        """Runs the import onto that branch; checks all that holds for every bad input."""
        outcome = run_import(self.path, "--branch=os/images", *arguments, tls=tls)
        assert outcome.status == 1, outcome.stdout + outcome.stderr
        assert outcome.stdout == ""
        (line,) = outcome.said("error")
        assert says in line
        hints = outcome.said("hint")
        assert len(hints) == (1 if hint else 0), hints
        assert hint in "".join(hints)
        assert outcome.stderr.splitlines()[-1 - len(hints)].startswith("error: ")
        self.check_untouched()
        return outcome

    def check_untouched(self) -> None:
        """No image's branch moved or new, every object sound; finished layers may be there."""
        now = images(self.path)
        assert now == self.before
        fsck(self.path)


def images(repo: Path) -> dict[str, str]:
    """The branches of images, with their commits."""
    layers = ("oci/layer/", "oci/tar-split/")
    return {ref: at for ref, at in heads(repo).items() if not ref.startswith(layers)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repo that every test takes a copy of."""
    home = tmp_path_factory.mktemp("first")
    build_oci(home / "layout", "t", [[Entry(b"first", content=b"1")]])
    imported(home / "repo", "--branch=os/images", f"oci:{home / 'layout'}:t")
    return home / "repo"


@pytest.fixture
def target(first: Path, tmp_path: Path) -> Repo:
    """A copy of it."""
    run(["cp", "-a", first, tmp_path / "target"])
    return Repo(tmp_path / "target", images(first))


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    """Between the import and the registry."""
    with FaultyProxy(registry.url) as running:
        yield running


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    """Two layers, the upper one large enough to break off."""
    return build_oci(layout, "t", [SMALL, LARGE])


# -- the registry --


def test_a_registry_that_is_down(target: Repo) -> None:
    with closed_port() as port:
        reference = f"127.0.0.1:{port}/a/b:t"
        target.refuses(reference, says="connection refused", hint="is the registry up?")


def test_a_host_that_does_not_exist(target: Repo) -> None:
    target.refuses("registry.invalid/a/b:t", says="registry.invalid", hint="does not resolve")


def test_a_name_that_does_not_exist(target: Repo, registry: Registry) -> None:
    target.refuses(f"{registry.host}/nowhere/at-all:t", says="nowhere/at-all", hint="no such")


def test_a_tag_that_does_not_exist(target: Repo, registry: Registry, image: BuiltImage) -> None:
    registry.push(image, "bad/tag:t")
    target.refuses(f"{registry.host}/bad/tag:other", says="manifest unknown", hint="list-tags")


def test_a_digest_that_does_not_exist(target: Repo, registry: Registry, image: BuiltImage) -> None:
    registry.push(image, "bad/digest:t")
    reference = f"{registry.host}/bad/digest@{ZEROS}"
    target.refuses(reference, says="manifest unknown", hint="no such tag or digest")


def test_a_tag_whose_digest_changed(
    target: Repo, registry: Registry, layout: Path, image: BuiltImage
) -> None:
    registry.push(image, "bad/moved:t")
    both = f"{registry.host}/bad/moved:t@{image.digest}"
    imported(target.path, "--branch=os/other", both)
    ostree(target.path, "refs", "--delete", "os/other")
    registry.push(build_oci(layout, "u", [LARGE]), "bad/moved:t")
    target.refuses(both, says="the tag is at sha256:", hint="leave the tag out")
    assert imported(target.path, "--branch=os/images", f"{registry.host}/bad/moved@{image.digest}")


def test_a_server_that_is_broken(
    target: Repo, registry: Registry, proxy: FaultyProxy, image: BuiltImage
) -> None:
    reference = proxy.through(registry.push(image, "bad/broken:t"))
    proxy.add(Fault("/blobs/", 500))
    target.refuses(reference, says="500", hint="--retry-times")


# -- blobs --


@contextmanager
def broken(registry: Registry, digest: str) -> Iterator[Path]:
    """The blob's file; afterwards it is whole again, as others share it."""
    path = registry.storage.path(digest)
    data = path.read_bytes()
    try:
        yield path
    finally:
        path.write_bytes(data)


@pytest.mark.parametrize("part", ["layer", "config"])
def test_a_blob_that_is_missing(
    target: Repo, registry: Registry, image: BuiltImage, part: str
) -> None:
    reference = registry.push(image, "bad/missing:t")
    digest = image.layer_digests[1] if part == "layer" else image.config_digest
    with broken(registry, digest):
        registry.storage.delete(digest)
        target.refuses(reference, says=digest, hint="the registry lacks")


@pytest.mark.parametrize("part", ["layer", "config"])
def test_a_blob_that_is_too_short(
    target: Repo, registry: Registry, image: BuiltImage, part: str
) -> None:
    reference = registry.push(image, "bad/short:t")
    digest = image.layer_digests[1] if part == "layer" else image.config_digest
    with broken(registry, digest):
        registry.storage.truncate(digest)
        target.refuses(reference, says=digest, hint="the registry")
    imported(target.path, "--branch=os/images", reference)


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_a_blob_that_is_corrupt(
    target: Repo, registry: Registry, image: BuiltImage, part: str
) -> None:
    reference = registry.by_digest(image, registry.push(image, "bad/corrupt:t") and "bad/corrupt")
    digests = {"layer": image.layer_digests[1], "config": image.config_digest}
    digest = digests.get(part, image.digest)
    with broken(registry, digest):
        registry.storage.corrupt(digest)
        target.refuses(reference, says=digest, hint="the registry")
    imported(target.path, "--branch=os/images", reference)


def test_a_manifest_that_is_another_ones(
    target: Repo, registry: Registry, layout: Path, image: BuiltImage
) -> None:
    reference = registry.by_digest(image, registry.push(image, "bad/other:t") and "bad/other")
    with broken(registry, image.digest) as file:
        other = build_oci(layout, "o", [SMALL])
        file.write_bytes(other.read(other.manifest))
        target.refuses(reference, says=image.digest, hint="the registry")


def test_a_connection_that_is_cut(
    target: Repo, registry: Registry, proxy: FaultyProxy, image: BuiltImage
) -> None:
    reference = proxy.through(registry.push(image, "bad/cut:t"))
    cut = proxy.add(Fault(image.layer_digests[1], "cut", 100_000))
    target.refuses(reference, says=image.layer_digests[1], hint="--retry-times")
    assert cut.reached.is_set()
    proxy.faults.clear()
    document = imported(target.path, "--branch=os/images", reference)
    assert [layer["cached"] for layer in document["images"][0]["layers"]] == [True, False]


@pytest.mark.parametrize("what", ["config", "layer"])
def test_retry_times(
    target: Repo, registry: Registry, proxy: FaultyProxy, image: BuiltImage, what: str
) -> None:
    reference = proxy.through(registry.push(image, "bad/retry:t"))
    digest = image.config_digest if what == "config" else image.layer_digests[1]
    fault = proxy.add(Fault(digest, 500, times=1))
    target.refuses(reference, says="500", hint="--retry-times")
    fault.times = 2
    outcome = run_import(target.path, "--branch=os/images", "--retry-times=2", reference)
    assert (outcome.status, fault.times) == (0, 0)
    assert outcome.stderr.count("trying again") == 2


def test_retry_times_for_a_manifest(
    target: Repo, registry: Registry, proxy: FaultyProxy, image: BuiltImage
) -> None:
    reference = proxy.through(registry.push(image, "bad/retry-manifest:t"))
    fault = proxy.add(Fault("/manifests/t$", "cut", 10, times=1))
    target.refuses(reference, says="unexpected EOF", hint="--retry-times")
    fault.times = 1
    imported(target.path, "--branch=os/images", "--retry-times=1", reference)
    assert fault.times == 0


def test_what_asking_again_cannot_mend_is_not_asked_again(
    target: Repo, registry: Registry, image: BuiltImage
) -> None:
    registry.push(image, "bad/final:t")
    reference = f"{registry.host}/bad/final:other"
    outcome = target.refuses("--retry-times=9", reference, says="unknown", hint="list-tags")
    assert "trying again" not in outcome.stderr


def test_one_bad_layer_ends_the_others(
    target: Repo, registry: Registry, proxy: FaultyProxy, layout: Path
) -> None:
    """Their retries, too: a layer that never comes is not waited for."""
    built = build_oci(layout, "t", [LARGE, [Entry(b"../escape")]])
    reference = proxy.through(registry.push(built, "bad/others:t"))
    proxy.add(Fault(built.layer_digests[0], "stall", 1000))
    says = "the path leaves"
    target.refuses("--retry-times=9", reference, says=says, hint="built anew")


def test_an_ended_layer_is_not_told_of(
    target: Repo, registry: Registry, proxy: FaultyProxy, layout: Path
) -> None:
    """Even if another repository has it, too: we have ended its skopeo, and nobody else."""
    slow = build_oci(layout, "slow", [LARGE])
    references = [proxy.through(registry.push(slow, f"bad/{name}:t")) for name in ("one", "two")]
    bad = registry.push(build_oci(layout, "bad", [[Entry(b"../escape")]]), "bad/three:t")
    proxy.add(Fault(slow.layer_digests[0], "stall", 1000))
    outcome = target.refuses(*references, bad, says="the path leaves", hint="built anew")
    assert "another repository" not in outcome.stderr
    assert "status -9" not in outcome.stderr


# -- documents --


def schema1(manifest: Document) -> None:
    manifest.clear()
    manifest |= {"schemaVersion": 1, "name": "a", "tag": "t", "fsLayers": [], "history": []}


def artifact(manifest: Document) -> None:
    manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"


def encrypted(manifest: Document) -> None:
    manifest["layers"][1]["mediaType"] += "+encrypted"


def foreign_layer(manifest: Document) -> None:
    manifest["layers"][1]["mediaType"] = "application/vnd.example.layer.v1.squashfs"


def one_layer_less(manifest: Document) -> None:
    del manifest["layers"][1]


def wrong_size(manifest: Document) -> None:
    manifest["layers"][1]["size"] -= 1


def no_layers_key_of_that_case(manifest: Document) -> None:
    manifest["Layers"] = manifest.pop("layers")


MANIFESTS: list[tuple[Edit, str, str]] = [
    (schema1, "schema 1", "push the image again"),
    (artifact, "not a container image", "artifacts"),
    (encrypted, "encrypted", "--decryption-key"),
    (foreign_layer, "squashfs", "tar+gzip"),
    (one_layer_less, "2 diff_ids", "built anew"),
    (wrong_size, " bytes ", "registry"),  # skopeo 1.18 says so; since GetRawBlob, we do
    (no_layers_key_of_that_case, "by case alone", "built anew"),
]


@pytest.mark.parametrize(
    ("edit", "says", "hint"), MANIFESTS, ids=lambda v: getattr(v, "__name__", "")
)
def test_a_manifest_that_will_not_do(
    target: Repo, layout: Path, edit: Edit, says: str, hint: str
) -> None:
    build_oci(layout, "t", [SMALL, LARGE], edit_manifest=edit)
    target.refuses(f"oci:{layout}:t", says=says, hint=hint)


def other_diff_ids(config: Document) -> None:
    config["rootfs"]["diff_ids"].reverse()


def unknown_rootfs(config: Document) -> None:
    config["rootfs"]["type"] = "layers+base"


def bad_date(config: Document) -> None:
    config["created"] = "yesterday"


CONFIGS: list[tuple[Edit, str]] = [
    (other_diff_ids, "the config's diff_ids say"),
    (unknown_rootfs, "not of type 'layers'"),
    (bad_date, "yesterday"),
]


@pytest.mark.parametrize(("edit", "says"), CONFIGS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_config_that_does_not_fit(target: Repo, layout: Path, edit: Edit, says: str) -> None:
    build_oci(layout, "t", [SMALL, LARGE], edit_config=edit)
    target.refuses(f"oci:{layout}:t", says=says, hint="built anew")


def test_a_layer_that_is_not_what_its_type_says(target: Repo, layout: Path) -> None:
    types = [f"application/vnd.oci.image.layer.v1.tar+{kind}" for kind in ("gzip", "zstd")]
    built = build_oci(layout, "t", [SMALL, LARGE], layer_types=types)
    target.refuses(f"oci:{layout}:t", says=built.layer_digests[1], hint="built anew")


def test_an_index_that_lists_an_index(
    target: Repo, registry: Registry, layout: Path, image: BuiltImage
) -> None:
    def nest(document: Document) -> None:
        inner = build_index(layout, "inner", [image])
        document["manifests"][0] |= {"digest": inner.digest, "size": inner.manifest.size}
        registry.put_manifest("bad/nested", inner.digest, inner.read(), inner.manifest)

    registry.push(image, "bad/nested:t")
    outer = build_index(layout, "outer", [image], edit_index=nest)
    registry.put_manifest("bad/nested", "outer", outer.read(), outer.manifest)
    target.refuses(f"{registry.host}/bad/nested:outer", says="index", hint="list images only")


# -- names --


@pytest.mark.parametrize(
    ("reference", "says", "hint"),
    [
        ("busybox", "names no registry", "docker.io/library/busybox"),
        ("some/image:tag", "names no registry", "docker.io/some/image:tag"),
        ("docker://busybox", "names no registry", "docker.io/library/busybox"),
        ("no [name]", "not an image reference", "registry/name"),
        ("example.org/UPPER:t", "not an image reference", "registry/name"),
        ("example.org/a:b:c", "not an image reference", "registry/name"),
        ("example.org/a@sha256:123", "'sha256:123'; sha256 has 64 lower-case", "sha256:DIGEST"),
        ("https://example.org/a:b", "is a URL, and no image reference", "write example.org/a:b"),
        ("docker:/example.org/a", "not an image reference", "write docker://example.org/a"),
        ("./images/a.tar", "is a path, and no image reference", "oci-archive:FILE"),
        ("/images/a.tar", "is a path, and no image reference", "oci-archive:FILE"),
        ("example.org/a@md5:" + "0" * 32, "md5", "sha256"),
        ("oci:", "names no image", "TRANSPORT:"),
        ("oci::t", "names no image", "TRANSPORT:"),
        ("oci-archive::t", "names no image", "TRANSPORT:"),
        ("oci:/nonexistent:t", "nonexistent", "path"),
        ("docker-archive:/nonexistent.tar", "nonexistent", "path"),
        ("docker-archive:/etc/passwd", "invalid tar header", "`podman save`"),
        ("dir:/etc/passwd", "not a directory", "path"),
        ("dir:/etc", "manifest.json", "path"),
    ],
)
def test_names_that_will_not_do(target: Repo, reference: str, says: str, hint: str) -> None:
    target.refuses(reference, says=says, hint=hint)


def test_a_docker_daemon_that_does_not_run(target: Repo) -> None:
    """It is asked once, and the one that DOCKER_HOST names."""
    env = {"DOCKER_HOST": "unix:///nonexistent/socket"}
    outcome = run_import(target.path, "--branch=os/images", "docker-daemon:a:1", env=env)
    error, hint = outcome.stderr.splitlines()
    assert "the Docker daemon at unix:///nonexistent/socket" in error
    assert "DOCKER_HOST" in hint
    target.check_untouched()


def test_a_layout_that_has_not_just_this_image(target: Repo, layout: Path) -> None:
    for tag in ("one", "two"):
        build_oci(layout, tag, [SMALL])
    target.refuses(f"oci:{layout}", says="more than one image", hint="oci:DIR:TAG")
    target.refuses(f"oci:{layout}:three", says="three", hint="no such tag")


def test_an_archive_without_this_image(target: Repo, image: BuiltImage, tmp_path: Path) -> None:
    """It is read once: what is on this machine does not change by waiting."""
    archive = f"docker-archive:{tmp_path}/archive.tar"
    run(["skopeo", "copy", "-q", f"oci:{image.directory}:t", f"{archive}:example.org/one:1"])
    for name, hint in (("example.org/two:1", "manifest.json lists"), ("@3", "the first is @0")):
        outcome = target.refuses(f"{archive}:{name}", "--retry-times=3", says=name, hint=hint)
        assert "trying again" not in outcome.stderr


# -- the repo --


def test_what_is_no_repo(tmp_path: Path, image: BuiltImage) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "precious").write_text("data")
    outcome = run_import(place, f"oci:{image.directory}:t")
    assert (outcome.status, len(outcome.said("error")), len(outcome.said("hint"))) == (1, 1, 1)
    assert str(place) in outcome.said("error")[0]
    assert [path.name for path in place.iterdir()] == ["precious"]


def test_a_file_in_the_repos_place(tmp_path: Path, image: BuiltImage) -> None:
    place = tmp_path / "place"
    place.write_text("data")
    outcome = run_import(place, f"oci:{image.directory}:t")
    assert (outcome.status, len(outcome.said("error")), len(outcome.said("hint"))) == (1, 1, 1)
    assert place.read_text() == "data"


def test_a_repo_of_a_mode_that_cannot_hold_images(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    ostree(repo.parent, "init", "--mode=bare-user-only", f"--repo={repo}")
    """Before anything is fetched: nobody listens where the image should be."""
    target = Repo(repo, images(repo))
    target.refuses("127.0.0.1:1/a/b:c", says="bare-user-only", hint="bare-user or archive")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", disk])
    yield disk
    unmount(disk)


@pytest.mark.root
@pytest.mark.parametrize("free", ["3%", "0"], ids=["with a reserve", "to the last byte"])
@pytest.mark.parametrize("count", [1, 4000], ids=["one large file", "many small files"])
def test_a_full_disk(small_disk: Path, layout: Path, free: str, count: int) -> None:
    repo = init(small_disk / "repo", "bare-user")
    ostree(repo, "config", "set", "core.min-free-space-percent", free.rstrip("%"))
    small = build_oci(layout, "small", [SMALL])
    imported(repo, "--branch=os/images", f"oci:{layout}:{small.tag}")
    pieces = [NOISE * 40] if count == 1 else [b"%d" % n for n in range(count)]
    big = [Entry(b"%d" % n, content=piece) for n, piece in enumerate(pieces)]
    build_oci(layout, "big", [SMALL, big])
    target = Repo(repo, images(repo))
    target.refuses(f"oci:{layout}:big", says="", hint="space")
    run(["mount", "-o", "remount,size=64M", small_disk])
    document = imported(repo, "--branch=os/images", f"oci:{layout}:big")
    assert [layer["cached"] for layer in document["images"][0]["layers"]] == [True, False]
    fsck(repo)
    assert not list((repo / "tmp").glob("import-image-*"))


@pytest.mark.root
@pytest.mark.parametrize("mode", ["archive", "bare"])
def test_a_full_disk_in_other_modes(small_disk: Path, layout: Path, mode: str) -> None:
    repo = small_disk / "repo"
    ostree(small_disk, "init", f"--repo={repo}", f"--mode={mode}")
    build_oci(layout, "big", [SMALL, [Entry(b"big", content=NOISE * 40)], LARGE])
    build_oci(
        layout,
        "noise",
        [SMALL, LARGE * 1, [Entry(b"%d" % n, content=NOISE[n:]) for n in range(30)]],
    )
    Repo(repo, {}).refuses(f"oci:{layout}:noise", says="", hint="space")


@pytest.mark.root
def test_a_read_only_file_system(target: Repo, tmp_path: Path, image: BuiltImage) -> None:
    where = tmp_path / "read-only"
    where.mkdir()
    run(["mount", "--bind", target.path, where])
    try:
        run(["mount", "-o", "remount,bind,ro", where])
        seen = Repo(where, target.before)
        seen.refuses(f"oci:{image.directory}:t", says=str(where), hint="writable")
    finally:
        unmount(where)


# -- who may --


def test_credentials(tmp_path: Path, target: Repo, image: BuiltImage) -> None:
    with Registry(auth=("user", "secret")) as registry:
        reference = registry.push(image, "a/b:t")
        target.refuses(reference, says="a/b", hint="--creds")
        target.refuses("--creds=user:wrong", reference, says="a/b", hint="--creds")
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {registry.host: {"auth": "dXNlcjpzZWNyZXQ="}}}))
        imported(tmp_path / "one", "--creds=user:secret", reference)
        imported(tmp_path / "two", f"--authfile={auth}", reference)
        auth.write_text("no JSON")
        target.refuses(f"--authfile={auth}", reference, says=str(auth), hint="skopeo login")
        outcome = run_import(tmp_path / "three", "--creds=user:hidden-word", reference)
        assert "hidden-word" not in outcome.stderr


def test_certificates(tmp_path: Path, target: Repo, image: BuiltImage) -> None:
    with Registry(tls=True) as registry:
        reference = registry.push(image, "a/b:t")
        target.refuses(reference, says="x509", hint="--cert-dir", tls=True)
        imported(tmp_path / "one", f"--cert-dir={registry.cert_dir}", reference, tls=True)
        imported(tmp_path / "two", "--tls-verify=false", reference, tls=True)


def test_policies(tmp_path: Path, registry: Registry, target: Repo, image: BuiltImage) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
    reference = registry.push(image, "bad/policy:t")
    says, hint = "rejected by policy", "--insecure-policy"
    target.refuses(f"--policy={policy}", reference, says=says, hint=hint)
    imported(tmp_path / "one", f"--policy={policy}", "--insecure-policy", reference)
    policy.write_text("not JSON")
    target.refuses(f"--policy={policy}", reference, says="policy", hint=hint)


def test_a_policy_holds_for_what_is_here_already(
    tmp_path: Path, registry: Registry, image: BuiltImage
) -> None:
    """An image by digest whose documents and layers the repo has is not beyond the policy."""
    repo = tmp_path / "repo"
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
    reference = registry.by_digest(image, registry.push(image, "bad/later:t") and "bad/later")
    imported(repo, "--branch=os/images", reference)
    target = Repo(repo, images(repo))
    target.refuses(f"--policy={policy}", reference, says="rejected by policy", hint="policy")


def test_the_second_of_two_images_is_bad(
    target: Repo, registry: Registry, layout: Path, image: BuiltImage
) -> None:
    good = registry.push(image, "bad/two:good")
    build_oci(layout, "bad", [SMALL], edit_manifest=artifact)
    bad = f"oci:{layout}:bad"
    target.refuses(good, bad, says=f"{bad}: sha256:", hint="artifacts")
    packed = Packed(b"", b"", "application/vnd.oci.image.layer.v1.tar+encrypted")
    build_oci(layout, "bad", [packed])
    target.refuses(good, bad, says=f"{bad}: sha256:", hint="decrypt")


def test_without_a_branch_no_image_is_done_if_one_is_bad(
    tmp_path: Path, registry: Registry, layout: Path, image: BuiltImage
) -> None:
    """Not half done: the good image of the two gets no branch, either."""
    good = registry.push(image, "bad/half:good")
    build_oci(layout, "bad", [LARGE, [Entry(b"../escape")]])
    bad = f"oci:{layout}:bad"
    outcome = run_import(tmp_path / "repo", good, bad)
    assert outcome.status == 1
    assert "the path leaves" in outcome.said("error")[0]
    assert outcome.said("error")[0].startswith(f"{bad}: sha256:")
    assert images(tmp_path / "repo") == {}
