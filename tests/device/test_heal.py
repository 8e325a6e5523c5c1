"""importer/device/heal.py on storages made for it: what goes, what stays, what stops it.

tests/device/test_upgrade.py has podman make and judge a broken storage.
"""

import ast
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from importer.device import heal
from importer.device.heal import HealError, configured_stores, heal_storage
from tests.tools.importimage import SCRIPT
from tests.tools.process import Argument
from tests.tools.store import store_images, store_layers

A, B, C, D = (letter * 64 for letter in "abcd")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Image `one` is whole; `two` has a layer whose parent B is nowhere, and so has a container."""
    root = tmp_path / "storage"
    layers = [{"id": A}, {"id": C, "parent": B}, {"id": D, "parent": C}]
    images = [
        {"id": "1" * 64, "names": ["r.io/one:1"], "layer": A},
        {"id": "2" * 64, "names": ["r.io/two:1"], "layer": C},
    ]
    write(root / "overlay-layers/layers.json", layers)
    write(root / "overlay-images/images.json", images)
    for lock in ("overlay-layers/layers.lock", "overlay-images/images.lock"):
        (root / lock).touch()
    for layer in layers:
        directory = root / "overlay" / layer["id"]
        (directory / "diff").mkdir(parents=True)
        (directory / "link").write_text(layer["id"][:26])
        (root / "overlay/l").mkdir(exist_ok=True)
        (root / "overlay/l" / layer["id"][:26]).symlink_to(f"../{layer['id']}/diff")
        (root / "overlay-layers" / f"{layer['id']}.tar-split.gz").touch()
    for image in images:
        write(root / "overlay-images" / str(image["id"]) / "manifest", {})
    return root


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def ids(storage: Path) -> tuple[set[str], set[str]]:
    """The images' first digits and the layers' first letters that the records have."""
    images = {image["id"][0] for image in store_images(storage)}
    return images, {layer["id"][0] for layer in store_layers(storage)}


def test_what_is_broken_goes_with_all_that_belongs_to_it(storage: Path) -> None:
    before = (storage / "overlay-layers/layers.lock").read_bytes()
    healed = heal_storage(storage, [])
    assert [image.missing for image in healed.images] == [B]
    assert (set(healed.layers), healed.stuck) == ({C, D}, ())
    assert ids(storage) == ({"1"}, {"a"})
    assert {path.name for path in (storage / "overlay").iterdir()} == {A, "l"}
    assert [path.name for path in (storage / "overlay/l").iterdir()] == [A[:26]]
    assert {path.name for path in (storage / "overlay-images").iterdir() if path.is_dir()} == {
        "1" * 64
    }
    assert not list((storage / "overlay-layers").glob(f"{C}*"))
    assert len((storage / "overlay-layers/layers.lock").read_bytes()) == 64 != len(before)
    assert heal_storage(storage, []).lines() == ["nothing is broken"]


def test_a_dry_run_changes_nothing(storage: Path) -> None:
    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in storage.rglob("*") if path.is_file()}

    before = state()
    healed = heal_storage(storage, [], dry_run=True)
    assert state() == before
    assert healed.lines()[0] == (
        f"would remove image {'2' * 12} (r.io/two:1): no store has its layer {B[:12]}"
    )
    assert healed.document() == heal_storage(storage, []).document() | {"dry_run": True}


def test_a_layer_that_a_store_has_is_not_missing(storage: Path, tmp_path: Path) -> None:
    write(tmp_path / "store/overlay-layers/layers.json", [{"id": B}])
    assert heal_storage(storage, [tmp_path / "store"]).images == ()
    assert ids(storage) == ({"1", "2"}, {"a", "c", "d"})


@pytest.mark.parametrize("name", ["containers.json", "volatile-containers.json"])
def test_a_containers_layers_stay_and_it_is_named(storage: Path, name: str) -> None:
    write(storage / "overlay-containers" / name, [{"id": "9" * 64, "layer": D}])
    healed = heal_storage(storage, [])
    assert (healed.layers, healed.stuck) == ((), ("9" * 64,))
    assert ids(storage) == ({"1"}, {"a", "c", "d"})
    assert "container 999999999999 cannot start" in healed.lines()[-1]


def test_a_tag_of_a_store_image_whose_layer_went(storage: Path) -> None:
    images = store_images(storage)
    images[1]["layer"] = B
    write(storage / "overlay-images/images.json", images)
    (broken,) = heal_storage(storage, []).images
    assert (broken.missing, broken.names) == (B, ("r.io/two:1",))


def test_a_top_layer_that_is_mapped_for_a_user_namespace_counts(storage: Path) -> None:
    images = store_images(storage)
    images[0]["mapped-layers"] = [D]
    write(storage / "overlay-images/images.json", images)
    assert {image.id[0] for image in heal_storage(storage, []).images} == {"1", "2"}


def test_a_layer_that_is_its_own_parent_ends(storage: Path) -> None:
    write(storage / "overlay-layers/layers.json", [{"id": A, "parent": A}, {"id": C, "parent": A}])
    assert heal_storage(storage, []).images == ()


def test_no_storage_is_nothing_broken(tmp_path: Path) -> None:
    assert heal_storage(tmp_path / "none", []).lines() == ["nothing is broken"]


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"name": "x"}]'])
@pytest.mark.parametrize("name", ["overlay-layers/layers.json", "overlay-images/images.json"])
def test_records_that_are_none_stop_it(storage: Path, name: str, text: str) -> None:
    (storage / name).write_text(text)
    with pytest.raises(HealError, match="podman system check"):
        heal_storage(storage, [])


def test_a_lock_that_another_program_holds_ends_it_in_time(storage: Path) -> None:
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    lock = storage / "overlay-images/images.lock"
    argv: list[Argument] = [sys.executable, "-c", code, lock]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        outcome = command(storage, "--lock-timeout=0.2")
        assert outcome.returncode == 1
        assert f"another program holds {lock}" in outcome.stderr
        assert ids(storage) == ({"1", "2"}, {"a", "c", "d"})
        holder.communicate()
    assert command(storage).returncode == 0
    assert ids(storage) == ({"1"}, {"a"})
    with lock.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def command(storage: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """`image-store heal`, which needs no repo."""
    script = SCRIPT.with_name("image-store")
    argv: list[Argument] = [
        script,
        "heal",
        f"--root={storage}",
        f"--store={storage.parent / 'none'}",
        *flags,
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        argv, env=environment, check=False, capture_output=True, text=True, timeout=60
    )


def test_the_command_prints_what_the_file_prints(storage: Path) -> None:
    found: Any = json.loads(command(storage, "--dry-run", "--json").stdout)
    assert found == heal_storage(storage, [], dry_run=True).document()


CONFIGURATIONS: dict[str, str] = {
    "etc/containers/storage.conf": '[storage.options]\nadditionalimagestores = ["/srv/one"]\n',
    "usr/share/containers/storage.conf": "additionalimagestores = ['/srv/one']\n",
    "etc/containers/storage.conf.d/9.conf": 'additionalimagestores = [\n  "/srv/one",\n]\n',
    "etc/crio/crio.conf.d/50-a.conf": '[crio]\nstorage_option = ["overlay.imagestore=/srv/one"]\n',
}


@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_stores_of_every_configuration(tmp_path: Path, path: str) -> None:
    write(tmp_path / "srv/one/overlay-layers/layers.json", [])
    write(tmp_path / "usr/lib/containers/storage/overlay-layers/layers.json", [])
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f'# "/srv/none"\n{CONFIGURATIONS[path]}')
    usual = tmp_path / "usr/lib/containers/storage"
    assert configured_stores(tmp_path) == [usual, tmp_path / "srv/one"]


def test_the_file_needs_the_standard_library_of_python_3_9_alone() -> None:
    source = Path(heal.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names: set[str] = set()
    for node in imports:
        module = node.module if isinstance(node, ast.ImportFrom) else None
        names |= {module or ""} if module else {alias.name for alias in node.names}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
