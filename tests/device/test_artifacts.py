"""Artifacts in the operating system, by the lines of docs/how-to/artifacts.md."""

import json
import re
import textwrap
from pathlib import Path

from layers.digest import Digest
from tests.tools.image import Blob, build_oci
from tests.tools.importimage import SCRIPT
from tests.tools.ostreerepo import checkout, commit, init
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

PAGE = Path(__file__).parents[2] / "docs/how-to/artifacts.md"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
STORE = "usr/share/containers/artifact-store/artifacts"


def push(registry: Registry, repository: str, tag: str, content: bytes) -> str:
    """An artifact with one file; the digest of its manifest."""
    parts = {"config": (b"{}", "application/vnd.oci.empty.v1+json"), "file": (content, "text/x")}
    blobs = {
        key: {"mediaType": kind, "digest": registry.put_blob(repository, data), "size": len(data)}
        for key, (data, kind) in parts.items()
    }
    title = {"org.opencontainers.image.title": "model.bin"}
    raw = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.model",
        "config": blobs["config"], "layers": [blobs["file"] | {"annotations": title}],
    }).encode()  # fmt: skip
    digest = str(Digest.of(raw))
    registry.put_manifest(repository, tag, raw, Blob(digest, len(raw), MANIFEST))
    return digest


def test_the_page_makes_a_store_that_podman_reads(registry: Registry, tmp_path: Path) -> None:
    """On a read-only mount, where podman 5.8 cannot open a lock beside the blobs."""
    digests = [
        push(registry, "models/granite", "3.1", b"weights" * 99),
        push(registry, "models/whisper", "1", b"words" * 99),
    ]
    image = build_oci(tmp_path / "layout", "app", [[Entry(b"app", content=b"1")]])
    (tmp_path / "images.txt").write_text(registry.push(image, "apps/app:1") + "\n")
    repo = init(tmp_path / "repo")
    (tmp_path / "os/usr/etc").mkdir(parents=True)
    commit(repo, "os", tmp_path / "os")
    block = next(iter(re.findall(r"(?:^    .*\n)+", PAGE.read_text(), re.MULTILINE)))
    lines = textwrap.dedent(block).replace("registry.example.com", registry.host)
    lines = lines.replace("/srv/repo", str(repo)).replace("import-image", str(SCRIPT))
    lines = lines.replace("skopeo copy", "skopeo copy --src-tls-verify=false")
    run(["sh", "-euc", lines.replace("--from", "--tls-verify=false --from")], cwd=tmp_path)
    tree = checkout(repo, "device/apps", tmp_path / "tree", copy=True)
    assert (tree / STORE / "index.lock").readlink() == Path("/run/artifact-store.lock")
    assert (tree / "usr/lib/containers/storage/overlay").is_dir()
    podman = new_podman(tmp_path / "podman")
    (podman.home / "root").mkdir(exist_ok=True)
    (podman.home / "root/artifacts").symlink_to(tree / STORE)
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    readonly = ["unshare", "--mount", "sh", "-c", mounted, str(tree)]
    for name, digest in zip(("granite:3.1", "whisper:1"), digests, strict=True):
        manifest = (tree / STORE / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        assert str(Digest.of(manifest)) == digest
        inspect = ["podman", "artifact", "inspect", f"{registry.host}/models/{name}"]
        found = json.loads(run([*readonly, *inspect], env=podman.environment))
        assert found["Manifest"]["layers"] == json.loads(manifest)["layers"]
