"""The doctor on stores as ostree deploys them, and as an overlay of /usr shows them."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.packaging.device_program import write_program
from importer.device.configured import Configured
from importer.device.doctor import Diagnosis, diagnosis
from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import SCRIPT, imported
from tests.tools.overlay import overlay_mount
from tests.tools.ownstorage import OwnStorage, digits, healed, link
from tests.tools.process import Argument
from tests.tools.tarbuild import Entry, opaque, whiteout

pytestmark = pytest.mark.root

FILES = [
    Entry(b"etc", "dir", mode=0o755),
    *(Entry(name, content=b"old\n") for name in (b"etc/gone", b"etc/kept", b"top")),
    Entry(b"usr/etc/linked", content=b"old\n"),
]
LONG = b"a" * 120
# The image's name, and the layers above FILES.
IMAGES: dict[str, list[list[Entry]]] = {
    "plain": [[Entry(b"etc/new")]],
    "file": [[whiteout(b"etc/gone"), Entry(b"new")]],
    "again": [[whiteout(b"top")], [Entry(b"top", content=b"again\n")]],
    "opaque": [[Entry(b"etc", "dir", mode=0o755), opaque(b"etc"), Entry(b"etc/new")]],
    "long": [[Entry(LONG + b"/" + LONG)], [whiteout(LONG + b"/" + LONG)]],
    "linked": [[whiteout(b"etc"), Entry(b"etc", "symlink", link=b"usr/etc")]],
}
FORMS = {"quoted": (), "none": ("--whiteouts=none",), "flattened": ("--flatten",)}
WRONG = {"file", "opaque", "long"}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch for each form, with all images."""
    home = tmp_path_factory.mktemp("images")
    references = [
        f"example.org/{name}:1="
        f"oci:{build_oci(home / 'layout', name, [busybox_layer(), FILES, *above]).directory}:{name}"
        for name, above in IMAGES.items()
    ]
    for form, flags in FORMS.items():
        imported(home / "repo", f"--branch={form}", *flags, *references)
    return home / "repo"


@contextmanager
def below_an_overlay(store: Path, where: Path) -> Iterator[Path]:
    """As systemd-sysext and an unlocked deployment mount it."""
    empty = where.with_name("extension")
    empty.mkdir(exist_ok=True)
    with overlay_mount([empty, store], where):
        yield where


def looked_at(store: Path, system: Path) -> Diagnosis:
    """What the doctor says of a store within a system that has neither podman nor CRI-O."""
    return diagnosis(system / "none", Configured.of(["/" / store.relative_to(system)]), system)


def wrong(found: Diagnosis) -> set[str]:
    """The images whose deleted files are back."""
    assert {one.kind for one in found.symptoms} <= {"deleted-files"}
    return {one.problem.partition("example.org/")[2].partition(":")[0] for one in found.symptoms}


@pytest.mark.parametrize("form", FORMS)
def test_a_store_as_it_is_deployed_is_well(repo: Path, tmp_path: Path, form: str) -> None:
    store = ostreerepo.checkout(repo, form, tmp_path / "os") / STORE
    found = looked_at(store, tmp_path)
    assert found.lines() == [f"nothing is wrong ({store})"]
    assert found.is_well


@pytest.mark.parametrize("form", FORMS)
def test_an_overlay_above_a_store_gives_deleted_files_back(
    repo: Path, tmp_path: Path, form: str
) -> None:
    store = ostreerepo.checkout(repo, form, tmp_path / "os") / STORE
    with below_an_overlay(store, tmp_path / "merged") as merged:
        found = looked_at(merged, tmp_path)
        assert wrong(found) == (WRONG if form == "quoted" else set())
        for one in found.symptoms:
            path = one.problem.rpartition(" such as /")[2]
            assert path.partition("/")[0] in {"etc", "top", LONG.decode()}


def test_a_commit_that_is_checked_out_as_it_is_has_no_whiteouts(repo: Path, tmp_path: Path) -> None:
    """Nor has one that composefs mounts."""
    tree = ostreerepo.checkout(repo, "quoted", tmp_path / "os", passthrough_whiteouts=False)
    assert wrong(looked_at(tree / STORE, tmp_path)) == WRONG


def test_a_program_that_maps_ids_on_an_overlayfs(repo: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    (system / "usr/bin").mkdir(parents=True)
    store = ostreerepo.checkout(repo, "none", tmp_path / "os") / STORE
    places = {
        "podman": "etc/containers/containers.conf.d/50-no-idmap.conf",
        "crio": "etc/systemd/system/crio.service.d/50-no-idmap.conf",
    }
    for program in places:
        (system / "usr/bin" / program).touch()
    (system / "merged").mkdir()
    with overlay_mount([store, tmp_path / "system"], system / "merged"):
        for left in (2, 1, 0):
            found = diagnosis(system / "none", Configured.of([Path("/merged")]), system)
            assert [one.kind for one in found.symptoms] == ["user-namespaces"] * left
            if left:
                path = system / places.popitem()[1]
                path.parent.mkdir(parents=True)
                path.write_text("# x\n_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes\n")


def test_what_heal_would_move_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    storage = OwnStorage.made(tmp_path / "storage")
    storage.add_layer(digits("b"), digits("gone"), link("b"))
    storage.add_image(digits("image"), digits("b"), "r.io/x\x1b:1")
    store = OwnStorage.made(tmp_path / "store")
    before = sorted(storage.root.rglob("*"))
    found = diagnosis(storage.root, Configured.of([store.root, tmp_path / "absent"]))
    assert [one.kind for one in found.symptoms] == ["unreadable", "broken-image"]
    assert r"(r.io/x\x1b:1)" in found.lines()[1]
    assert sorted(storage.root.rglob("*")) == before
    assert len(healed(storage.root, store.root).broken) == 1


def test_the_command_and_the_program_say_the_same(repo: Path, tmp_path: Path) -> None:
    store = ostreerepo.checkout(repo, "quoted", tmp_path / "os", passthrough_whiteouts=False)
    write_program(tmp_path / "device")
    flags = ["doctor", "--json", f"--store={store / STORE}", f"--root={tmp_path / 'none'}"]
    commands: list[list[Argument]] = [
        [SCRIPT.with_name("image-store")],
        ["/usr/bin/python3", "-I", "-S", "device"],
    ]
    answers = []
    for command in commands:
        done = subprocess.run(
            [*command, *flags], check=False, capture_output=True, cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        )  # fmt: skip
        assert done.returncode == 1
        answers.append(json.loads(done.stdout))
    first: Any = answers[0]
    assert answers[1] == first
    assert {one["kind"] for one in first["symptoms"]} == {"deleted-files"}
