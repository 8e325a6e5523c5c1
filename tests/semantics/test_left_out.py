"""What ostree or Linux cannot hold is left out of layers, and the user is told how much."""

import json
from pathlib import Path

import pytest

from tests.import_images.test_import import BASE
from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import, run_storage
from tests.tools.importrelease import run_release
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

DROPPED = [
    Entry(b"link", "symlink", link=b"b", xattrs={b"user.a": b"1"}),
    Entry(b"labelled", xattrs={b"security.selinux": b"x\0", b"user.kept": b"1"}),
    Entry(b"dev/null", "char", device=(1, 3)),
    Entry(b"dev/log", "fifo"),
]
STRAY = [Entry(b"srv/fifo", "fifo")]
SAID = "left out of 2 layers: 3 device nodes, 2 extended attributes\n"


def push(registry: Registry, layout: Path, name: str) -> str:
    """An image of three layers, two of which cannot be had whole."""
    return registry.push(build_oci(layout, name, [BASE, DROPPED, STRAY]), f"leftout/{name}:1")


def test_it_is_told_once_in_one_line_and_always_in_the_document(
    registry: Registry, repo: Path, layout: Path
) -> None:
    reference = push(registry, layout, "told")
    arguments = ["--json", "--device-nodes=skip", reference]
    first, second = run_import(repo, *arguments), run_import(repo, *arguments)
    assert SAID.rstrip() in first.stderr.splitlines()
    assert "left out" not in second.stderr
    for outcome in (first, second):
        layers = outcome.document["images"][0]["layers"]
        assert [layer["device_nodes"] for layer in layers] == [0, 2, 1]
        assert [layer["dropped_xattrs"] for layer in layers] == [0, 2, 0]


def test_nothing_is_said_where_nothing_is_left_out(
    registry: Registry, repo: Path, layout: Path
) -> None:
    reference = registry.push(build_oci(layout, "whole", [BASE]), "leftout/whole:1")
    assert "left out" not in run_import(repo, reference).stderr


def test_layers_alone_and_those_for_a_program_are_told_of(
    registry: Registry, repo: Path, layout: Path
) -> None:
    reference = push(registry, layout, "alone")
    arguments = ("--form=layers", "--device-nodes=skip", "--log-json", reference)
    lines = run_import(repo, *arguments).stderr.splitlines()
    assert SAID.rstrip() in [json.loads(line)["message"] for line in lines]


def test_quiet_keeps_quiet(registry: Registry, repo: Path, layout: Path) -> None:
    reference = push(registry, layout, "quiet")
    assert run_import(repo, "--quiet", "--device-nodes=skip", reference).stderr == ""


def test_of_one_there_is_no_plural(registry: Registry, repo: Path, layout: Path) -> None:
    reference = registry.push(build_oci(layout, "one", [DROPPED[:1]]), "leftout/one:1")
    said = run_import(repo, reference).stderr
    assert "left out of 1 layer: 1 extended attribute" in said.splitlines()


def test_a_flattened_image_tells_of_its_own_layers(
    registry: Registry, repo: Path, layout: Path
) -> None:
    reference = push(registry, layout, "flat")
    document = imported(repo, "--flatten", "--device-nodes=skip", reference)
    layers = document["images"][0]["layers"]
    assert [layer["dropped_xattrs"] for layer in layers] == [0, 2, 0]


def test_a_release_tells_it_of_all_its_images(
    registry: Registry, repo: Path, layout: Path, tmp_path: Path
) -> None:
    digest = push(registry, layout, "release").rpartition(":")[0]
    built = build_oci(layout, "release", [BASE, DROPPED, STRAY])
    file = tmp_path / "release-x86_64.json"
    images = dict.fromkeys(("one", "two"), f"{digest}@{built.digest}")
    file.write_text(json.dumps({"release": {"base": "4.20.0"}, "images": images}))
    outcome = run_release(
        repo, "--json", "--tls-verify=false", "--branch=r", "--device-nodes=skip", str(file)
    )
    assert SAID in outcome.stderr
    layers = outcome.document["releases"][0]["images"][1]["layers"]
    assert [layer["dropped_xattrs"] for layer in layers] == [0, 2, 0]


@pytest.mark.root
@pytest.mark.parametrize("with_records", [True, False])
def test_a_store_s_layers_are_told_of(
    registry: Registry, repo: Path, layout: Path, tmp_path: Path, with_records: bool
) -> None:
    """Without their records the layers are what is on disk, where podman set what it could."""
    entries = [Entry(b"f", xattrs={b"user.overlay.x": b"1", b"user.kept": b"1"}), DROPPED[3]]
    reference = registry.push(build_oci(layout, "store", [BASE, entries]), "leftout/store:1")
    podman = new_podman(tmp_path / "podman")
    podman("pull", "--quiet", "--tls-verify=false", reference)
    store = podman.home / "root"
    if not with_records:
        for record in store.rglob("*.tar-split.gz"):
            record.unlink()
    outcome = run_storage(repo, "--json", store)
    # overlayfs's own attributes are bookkeeping in a directory, and the image's own in a tar.
    dropped = int(with_records)
    layers = outcome.document["images"][0]["layers"]
    assert [(one["device_nodes"], one["dropped_xattrs"]) for one in layers] == [
        (0, 0),
        (1, dropped),
    ]
    assert "left out of 1 layer: 1 device node" in outcome.stderr
