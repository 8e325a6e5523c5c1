"""Which images podman lists, and cannot create a container of."""

import json
from pathlib import Path

import pytest

from layers.digest import Digest
from layers.oci.config import parse_config
from layers.oci.manifest import Descriptor, Manifest
from layers.oci.media_type import OCI_CONFIG, OCI_MANIFEST
from layers.oci.readable import doubts
from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.podman import QUIET_CREATE, Podman, new_podman
from tests.tools.process import CommandError
from tests.tools.tarbuild import Entry

SIGNALS = {
    "SIGTERM": True, "term": True, "Sigterm": True, "9": True, "-9": True, "+9": True, "064": True,
    "64": True, "-TERM": True, "RTMIN+3": True, "rtmax-14": True, "CLD": True, "SIGRTMIN": True,
    "0": False, "65": False, "99999999999": False, "SIGFOO": False, "SIGRTMIN+20": False,
    " TERM": False, "SIGSIGTERM": False, "\u0663": False, "RTMIN+0": False, "-": False,
}  # fmt: skip


def said(signal: str = "", variant: str = "") -> list[str]:
    document = {
        "architecture": "amd64", "os": "linux", "variant": variant,
        "config": {"StopSignal": signal}, "rootfs": {"type": "layers", "diff_ids": []},
    }  # fmt: skip
    raw = json.dumps(document).encode()
    config = Descriptor(OCI_CONFIG, Digest.of(raw), len(raw))
    manifest = Manifest(b"", Digest.of(b""), OCI_MANIFEST, config, ())
    return list(doubts(parse_config(raw, manifest)))


@pytest.mark.parametrize("signal", SIGNALS)
def test_signals(signal: str) -> None:
    assert (said(signal) == []) == SIGNALS[signal]


@pytest.mark.parametrize("variant", ["", "v8", "V8", "x y", "\u00e9"])
def test_platforms(variant: str) -> None:
    assert bool(said(variant=variant)) == (variant in ("x y", "\u00e9"))


def is_created(podman: Podman, image: str) -> bool:
    try:
        podman("create", *QUIET_CREATE, image)
    except CommandError:
        return False
    return True


@pytest.mark.root
def test_podman_agrees(tmp_path: Path) -> None:
    podman = new_podman(tmp_path / "podman")
    created = {}
    for number, signal in enumerate(SIGNALS):
        config = {"StopSignal": signal, "Cmd": ["/x"]}
        built = build_oci(tmp_path / "oci", f"t{number}", [[Entry(b"x")]], config=config)
        podman("pull", "--quiet", f"oci:{tmp_path}/oci:t{number}")
        created[signal] = is_created(podman, built.image_id)
    assert created == SIGNALS


def test_the_image_is_named(tmp_path: Path, repo: Path) -> None:
    build_oci(tmp_path / "oci", "t", [[Entry(b"x")]], config={"StopSignal": "SIGFOO"})
    outcome = run_import(repo, "--branch=os/images", f"oci:{tmp_path}/oci:t")
    assert outcome.status == 0
    said = "podman cannot create a container of it: its StopSignal 'SIGFOO' is no signal"
    assert f"oci:{tmp_path}/oci:t: {said}" in outcome.stderr.splitlines()
