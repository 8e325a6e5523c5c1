"""Artifacts in the operating system, by the lines of docs/how-to/artifacts.md."""

import json
import re
import shlex
import textwrap
from pathlib import Path

from tests.tools.artifact import push_artifact
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.layout import digest_of
from tests.tools.ostreerepo import checkout, commit, init
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

PAGE = Path(__file__).parents[2] / "docs/how-to/artifacts.md"


def test_podman_reads_what_the_page_makes(registry: Registry, tmp_path: Path) -> None:
    """On a read-only mount, where podman 5.6 and later cannot open a lock beside the blobs."""
    weights, words = b"weights" * 99, b"words" * 99
    push_artifact(registry, "models/granite:3.1", {"model.bin": weights})
    push_artifact(registry, "models/whisper:1", {"model.bin": words})
    image = build_oci(tmp_path / "layout", "app", [[Entry(b"app", content=b"1")]])
    (tmp_path / "images.txt").write_text(registry.push(image, "apps/app:1") + "\n")
    (tmp_path / "os/usr/etc").mkdir(parents=True)
    commit(init(tmp_path / "repo"), "os", tmp_path / "os")
    block = next(iter(re.findall(r"(?:^    .*\n)+", PAGE.read_text(), re.MULTILINE)))
    line = textwrap.dedent(block).replace("\\\n", "")
    line = line.replace("registry.example.com", registry.host)
    argv = shlex.split(line.replace("images.txt", str(tmp_path / "images.txt")))
    assert argv[:3] == ["import-image", "--repo", "/srv/repo"]
    assert not run_import(tmp_path / "repo", *argv[3:]).status
    tree = checkout(tmp_path / "repo", "device/apps", tmp_path / "tree", copy=True)
    podman = new_podman(tmp_path / "podman")
    (podman.home / "root").mkdir(exist_ok=True)
    (podman.home / "root/artifacts").symlink_to(tree / STORE / "artifacts")
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    readonly = ["unshare", "--mount", "sh", "-c", mounted, str(tree)]
    given = {f"{registry.host}/models/granite:3.1": weights, "localhost/models/speech:1": words}
    for name, content in given.items():
        inspect = ["podman", "artifact", "inspect", name]
        found = json.loads(run([*readonly, *inspect], env=podman.environment))
        (layer,) = found["Manifest"]["layers"]
        assert layer["digest"] == digest_of(content)
        if "extract" not in run(["podman", "artifact", "--help"]):  # podman 5.4
            continue
        extract = ["podman", "artifact", "extract", name, str(tmp_path / "model.bin")]
        run([*readonly, *extract], env=podman.environment)
        assert (tmp_path / "model.bin").read_bytes() == content
