"""importer/device/heal.py on storages made for it: what moves, what stays, what stops it.

tests/device/test_upgrade.py has podman make and judge a broken storage.
"""

import ast
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from importer.device import folder
from importer.device.folder import DeviceError
from layers.storage import holders
from tests.tools.importimage import SCRIPT
from tests.tools.ownstorage import OwnStorage, digits, healed, link, trees, write
from tests.tools.process import Argument

A, B, C, D = (letter * 64 for letter in "abcd")
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def storage(tmp_path: Path) -> OwnStorage:
    """Image ONE is whole; TWO has a layer whose parent B only the store has."""
    made = OwnStorage.made(tmp_path / "storage")
    made.add_layer(A, link=link("a"))
    made.add_layer(C, B, link("c"), f"l/{link('b')}")
    made.add_layer(D, C, link("d"), f"l/{link('c')}:l/{link('b')}")
    made.add_image(ONE, A, "r.io/one:1")
    made.add_image(TWO, C, "r.io/two:1")
    return made


@pytest.fixture
def store(tmp_path: Path) -> OwnStorage:
    """A store of the last release, which has B."""
    made = OwnStorage.made(tmp_path / "last")
    made.add_layer(B, link=link("b"))
    return made


@pytest.fixture
def empty(tmp_path: Path) -> OwnStorage:
    """A store of the next release, which has no layer."""
    return OwnStorage.made(tmp_path / "next")


def state(root: Path) -> dict[str, object]:
    """All that is below a directory, but for locks; of a link where it leads."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(root))] = path.readlink()
        elif path.suffix != ".lock":
            found[str(path.relative_to(root))] = path.read_bytes() if path.is_file() else None
    return found


def ids(storage: OwnStorage) -> tuple[set[str], set[str]]:
    """The images' first digits and the layers' first letters that the records have."""
    return {one[0] for one in storage.images}, {one[0] for one in storage.layers}


def test_what_is_broken_goes_aside_with_all_that_belongs_to_it(
    storage: OwnStorage, empty: OwnStorage
) -> None:
    done = healed(storage.root, empty.root)
    assert [(one.image.id, one.missing) for one in done.broken] == [(TWO, B)]
    assert set(done.layers) == {C, D}
    assert ids(storage) == ({"1"}, {"a"})
    root = storage.root
    assert {path.name for path in (root / "overlay").iterdir()} == {A, "l"}
    assert [path.name for path in (root / "overlay/l").iterdir()] == [link("a")]
    assert {one.name for one in (root / "overlay-images").iterdir() if one.is_dir()} == {ONE}
    assert not list((root / "overlay-layers").glob(f"{C}*"))
    assert len((root / "overlay-layers/layers.lock").read_bytes()) == 64
    assert healed(root, empty.root).lines() == ["nothing is broken"]


def test_what_is_aside_comes_back_with_its_parents(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage
) -> None:
    before = state(storage.root)
    healed(storage.root, empty.root)
    told = healed(storage.root, store.root, dry_run=True)
    assert told.document()["returned"] == [{"image_id": TWO, "names": ["r.io/two:1"]}]
    done = healed(storage.root, store.root)
    assert "image 222222222222 (r.io/two:1): brought back" in done.lines()
    after = state(storage.root)
    assert trees(storage.root, C, store.root) == [C, B]
    # D belongs to no image, and stays aside.
    gone = {one for one in before if D in one or one.endswith(link("d"))}
    assert {one: after.get(one) for one in before if one not in gone and "json" not in one} == {
        one: content for one, content in before.items() if one not in gone and "json" not in one
    }
    assert ids(storage) == ({"1", "2"}, {"a", "c"})
    assert healed(storage.root, store.root).lines() == ["nothing is broken"]


def test_parents_that_were_pulled_meanwhile_are_parents(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage
) -> None:
    """Their links are others, so the layer above has to name them anew."""
    healed(storage.root, empty.root)
    storage.add_layer(B, link=link("pulled"))
    done = healed(storage.root, empty.root)
    assert done.linked == (C,)
    assert trees(storage.root, C, empty.root) == [C, B]


def test_lowers_by_id_that_are_nowhere_are_taken_from_the_layer(
    storage: OwnStorage, store: OwnStorage
) -> None:
    """As by container-libs 1.63, for which `lower-layers` counts first."""
    by_id = storage.root / "overlay" / C / "lower-layers"
    by_id.write_text(B)
    assert healed(storage.root, store.root).linked == ()
    by_id.write_text(digits("a store of another form"))
    assert healed(storage.root, store.root).linked == (C,)
    assert not by_id.exists()
    assert trees(storage.root, C, store.root) == [C, B]


def test_an_image_that_comes_back_leaves_its_name_to_another(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage
) -> None:
    healed(storage.root, empty.root)
    storage.add_image("3" * 64, A, "r.io/two:1")
    healed(storage.root, store.root)
    assert storage.images[TWO]["names"] == []
    assert storage.images["3" * 64]["names"] == ["r.io/two:1"]


def test_an_image_that_was_pulled_again_stays_before_the_one_aside(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage
) -> None:
    healed(storage.root, empty.root)
    storage.add_layer(B, link=link("pulled b"))
    storage.add_layer(C, B, link("pulled c"), storage.lower(B))
    storage.add_image(TWO, C, "r.io/two:2")
    assert healed(storage.root, store.root).lines() == ["nothing is broken"]
    assert storage.images[TWO]["names"] == ["r.io/two:2"]
    assert trees(storage.root, C, store.root) == [C, B]


def test_it_is_deleted_on_request_alone(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage
) -> None:
    healed(storage.root, empty.root)
    assert list(storage.root.glob("import-image-aside/*/overlay/*/diff/name"))
    done = healed(storage.root, empty.root, delete=True)
    assert done.lines() == ["all that is aside: deleted"]
    assert not list(storage.root.glob("import-image-aside*"))
    assert healed(storage.root, store.root).returning == ()


def test_a_dry_run_changes_nothing(storage: OwnStorage, empty: OwnStorage) -> None:
    before = state(storage.root)
    told = healed(storage.root, empty.root, dry_run=True)
    assert state(storage.root) == before
    assert told.lines()[0] == (
        f"image {TWO[:12]} (r.io/two:1): would be moved aside, since no store has its layer"
        f" {B[:12]}"
    )
    done = healed(storage.root, empty.root)
    assert done.document() == told.document() | {"dry_run": False, "moved_aside": True}


def test_a_layer_that_a_store_has_is_not_missing(storage: OwnStorage, store: OwnStorage) -> None:
    assert healed(storage.root, store.root).lines() == ["nothing is broken"]
    assert ids(storage) == ({"1", "2"}, {"a", "c", "d"})


LAYERS = "overlay-layers/layers.json"


def goes(store: Path) -> None:
    store.rename(store.with_name("elsewhere"))


def is_unmounted(store: Path) -> None:
    goes(store)
    store.mkdir()


def has_a_pipe(store: Path) -> None:
    (store / LAYERS).unlink()
    os.mkfifo(store / LAYERS)


DOUBTS: dict[str, Callable[[Path], object]] = {
    "is not there": goes,
    "may not be mounted yet": is_unmounted,
    "layers.json is empty": lambda store: (store / LAYERS).write_text(""),
    "it is not JSON": lambda store: (store / LAYERS).write_text("[{"),
    "is no regular file": has_a_pipe,
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_store_in_doubt_leaves_everything_where_it_is(
    storage: OwnStorage, store: OwnStorage, empty: OwnStorage, doubt: str
) -> None:
    DOUBTS[doubt](store.root)
    before = state(storage.root)
    done = healed(storage.root, empty.root, store.root)
    assert state(storage.root) == before
    assert not done.is_well
    assert done.lines()[0].startswith(f"image {TWO[:12]} (r.io/two:1): stays")
    assert doubt in done.lines()[-1]
    assert done.document()["doubts"] == list(done.doubts)


def test_a_storage_whose_own_list_of_layers_is_empty_is_left_alone(
    storage: OwnStorage, empty: OwnStorage
) -> None:
    """As a power cut leaves it. CRI-O would not find an image either, but the files are there."""
    (storage.root / "overlay-layers/layers.json").write_text("")
    before = state(storage.root)
    done = healed(storage.root, empty.root)
    assert state(storage.root) == before
    assert not done.is_well


@pytest.mark.parametrize("name", ["containers.json", "volatile-containers.json"])
def test_a_containers_layers_stay_and_it_is_named(
    storage: OwnStorage, empty: OwnStorage, name: str
) -> None:
    storage.add_container("9" * 64, D, name)
    done = healed(storage.root, empty.root)
    assert (done.layers, done.stuck) == ((), ("9" * 64,))
    assert ids(storage) == ({"1"}, {"a", "c", "d"})
    assert "container 999999999999 cannot start" in done.lines()[-1]


@pytest.mark.parametrize("file", ["lower", "lower-layers"])
def test_a_container_whose_files_name_what_is_there_is_not_stuck(
    storage: OwnStorage, empty: OwnStorage, file: str
) -> None:
    """podman 5 finds the layers by links, podman 6 by ids; whatever the parent's record says."""
    empty.add_layer("e" * 64, link=link("b"))
    storage.add_container("9" * 64, D)
    names = {"lower": f"l/{link('c')}:l/{link('b')}", "lower-layers": f"{C}:{'e' * 64}"}
    (storage.root / "overlay" / D / file).write_text(names[file])
    assert healed(storage.root, empty.root).stuck == ()
    (storage.root / "overlay" / D / "lower-layers").write_text(f"{C}:{B}")
    assert healed(storage.root, empty.root).stuck == ("9" * 64,)


def test_a_tag_of_a_store_image_whose_layer_went(storage: OwnStorage, empty: OwnStorage) -> None:
    storage.add_image(TWO, B, "r.io/two:1")
    (broken,) = healed(storage.root, empty.root).broken
    assert (broken.missing, broken.image.names) == (B, ("r.io/two:1",))


def test_a_top_layer_that_is_mapped_for_a_user_namespace_counts(
    storage: OwnStorage, empty: OwnStorage
) -> None:
    images = storage.images
    images[ONE]["mapped-layers"] = [D]
    write(storage.root / "overlay-images/images.json", list(images.values()))
    done = healed(storage.root, empty.root)
    assert {one.image.id[0] for one in done.broken} == {"1", "2"}


def test_a_layer_that_is_its_own_parent_ends(storage: OwnStorage, empty: OwnStorage) -> None:
    records = [{"id": A, "parent": A}, {"id": C, "parent": A}]
    write(storage.root / "overlay-layers/layers.json", records)
    assert healed(storage.root, empty.root).broken == ()


def test_no_storage_is_nothing_broken(tmp_path: Path) -> None:
    assert healed(tmp_path / "none").lines() == ["nothing is broken"]


ODD = {
    "not JSON": "{",
    "not a list of records": "{}",
    "no id": '[{"name": "x"}]',
    "'../../x' is no id": '[{"id": "../../x"}]',
    "'.' is no id": '[{"id": "."}]',
    "5 is no id": '[{"id": 5}]',
    "'/abs' is no layer's id": f'[{{"id": "{A}", "layer": "/abs"}}]',
    "mapped-layers is no list of texts": f'[{{"id": "{A}", "mapped-layers": [[]]}}]',
    "{'a': {}} is no layer's id": f'[{{"id": "{A}", "parent": {{"a": {{}}}}}}]',
    "names is no list of texts": f'[{{"id": "{A}", "names": 5}}]',
    "there twice": f'[{{"id": "{A}"}}, {{"id": "{A}"}}]',
    "a number is too long": f'[{{"id": {"9" * 100_000}}}]',
    "while decoding a JSON array": "[" * 100_000,  # a RecursionError
}


@pytest.mark.parametrize("why", ODD)
@pytest.mark.parametrize("name", ["overlay-layers/layers.json", "overlay-images/images.json"])
def test_records_that_are_none_stop_it(
    storage: OwnStorage, empty: OwnStorage, name: str, why: str
) -> None:
    (storage.root / name).write_text(ODD[why])
    before = state(storage.root)
    with pytest.raises(DeviceError, match="podman system check") as raised:
        healed(storage.root, empty.root)
    assert why in str(raised.value)
    assert state(storage.root) == before


def test_a_terminals_escapes_are_printed_as_such(storage: OwnStorage, empty: OwnStorage) -> None:
    storage.add_image(TWO, C, "r.io/\x1b[2J\ud800:1")
    (line, *_) = healed(storage.root, empty.root, dry_run=True).lines()
    assert r"(r.io/\x1b[2J\ud800:1)" in line
    healed(storage.root, empty.root)


def test_a_lock_that_another_program_holds_ends_it_in_time(storage: OwnStorage) -> None:
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    lock = storage.root / "overlay-images/images.lock"
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


def command(storage: OwnStorage, *flags: str) -> "subprocess.CompletedProcess[str]":
    """`image-store heal`, which needs no repo."""
    store = storage.root.with_name("empty")
    if not store.exists():
        OwnStorage.made(store)
    script = SCRIPT.with_name("image-store")
    argv: list[Argument] = [script, "heal", f"--root={storage.root}", f"--store={store}", *flags]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        argv, env=environment, check=False, capture_output=True, text=True, timeout=60
    )


def test_the_command_prints_what_the_file_prints(storage: OwnStorage, empty: OwnStorage) -> None:
    found: Any = json.loads(command(storage, "--dry-run", "--json").stdout)
    assert found == healed(storage.root, empty.root, dry_run=True).document()


def test_the_command_fails_if_a_doubt_keeps_something(storage: OwnStorage) -> None:
    outcome = command(storage, f"--store={storage.root.with_name('unmounted')}")
    assert outcome.returncode == 1
    assert "stays, since no store has its layer" in outcome.stdout
    assert "unmounted, which the command line names, is not there" in outcome.stdout


DEVICE = [*sorted(Path(folder.__file__).parent.glob("*.py")), Path(holders.__file__)]


@pytest.mark.parametrize("path", DEVICE, ids=lambda path: path.stem)
def test_the_program_needs_the_standard_library_of_python_3_9_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    modules = [one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
    modules += [
        name.name for one in ast.walk(tree) if isinstance(one, ast.Import) for name in one.names
    ]
    ours = ("importer.device", holders.__name__)
    others = {one for one in modules if not one.startswith(ours)}
    assert {one.partition(".")[0] for one in others} <= sys.stdlib_module_names
