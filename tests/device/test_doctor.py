"""The doctor on stores as ostree deploys them, and as an overlay of /usr shows them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.packaging.device_program import write_program
from importer.device.configured import Configured, configured_stores
from importer.device.doctor import Diagnosis, diagnosis
from importer.device.overlayfs import counts_erofs
from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import SCRIPT, imported
from tests.tools.overlay import overlay_mount
from tests.tools.ownstorage import OwnStorage, digits, healed, link
from tests.tools.podman import new_podman
from tests.tools.process import Argument, CommandError
from tests.tools.store import store_images, store_layers
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
    assert found.lines() == [f"store {store}", "nothing is wrong"]
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
    assert r"(r.io/x\x1b:1)" in found.lines()[2]
    assert sorted(storage.root.rglob("*")) == before
    assert len(healed(storage.root, store.root).broken) == 1


# -- configurations --

LIST = "[storage.options]\nadditionalimagestores = "
USUAL = "usr/lib/containers/storage"


def configured_system(root: Path, files: dict[str, str]) -> Diagnosis:
    """The diagnosis of a system with these files, and with an image in the usual store."""
    store = OwnStorage.made(root / USUAL)
    store.add_layer(digits("a"), link=link("a"))
    store.add_image(digits("image"), digits("a"), "r.io/x:1")
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return diagnosis(root / "none", configured_stores(root), root)


def test_who_reads_a_store_is_told_with_the_file_that_says_so(tmp_path: Path) -> None:
    main, drop_in = "etc/containers/storage.conf", "etc/containers/storage.conf.d/9.conf"
    crio = "etc/crio/crio.conf.d/9.conf"
    (tmp_path / "srv").symlink_to("usr/lib/containers")
    found = configured_system(
        tmp_path,
        {
            main: f'{LIST}["/{USUAL}"]',
            drop_in: f'{LIST}["/{USUAL}", {{append = true}}]',
            crio: '[crio]\nstorage_option = ["overlay.imagestore=/srv/storage"]\n',
        },
    )
    read_by = {
        "CRI-O by its options": f"/{crio}",
        "podman 5 and CRI-O up to 1.36": f"/{main}",
        "podman 6 and later CRI-O": f"/{drop_in}",
    }
    assert found.symptoms == ()
    assert {one.program: one.file for one in found.stores[0].read_by} == read_by
    assert f"podman 6 and later CRI-O by /{drop_in}" in found.lines()[0]


def test_a_store_that_a_drop_in_takes_away(tmp_path: Path) -> None:
    drop_in = "usr/share/containers/storage.conf.d/50-vendor.conf"
    files = {"etc/containers/storage.conf": f'{LIST}["/{USUAL}"]', drop_in: f"{LIST}[]"}
    (one,) = configured_system(tmp_path, files).symptoms
    assert one.kind == "replaced-list"
    assert f"/{drop_in}" in one.problem


def test_a_store_that_nobody_reads(tmp_path: Path) -> None:
    (one,) = configured_system(tmp_path, {"etc/containers/storage.conf": ""}).symptoms
    assert (one.kind, one.where) == ("unlisted-store", str(tmp_path / USUAL))


# -- records, links and lists of lower layers --


class Victim:
    """The image `file` of a store, whose layers are `base`, `middle` and `top`."""

    def __init__(self, store: Path) -> None:
        self.store = store
        (image,) = (one for one in store_images(store) if one["names"] == ["example.org/file:1"])
        parents = {one["id"]: one.get("parent", "") for one in store_layers(store)}
        self.documents = store / "overlay-images" / image["id"]
        self.top = str(image["layer"])
        self.middle = parents[self.top]
        self.base = parents[self.middle]

    def layer(self, layer: str) -> Path:
        return self.store / "overlay" / layer

    def link(self, layer: str) -> Path:
        return self.store / "overlay/l" / (self.layer(layer) / "link").read_text()

    def forget(self) -> None:
        kept = [one for one in store_layers(self.store) if one["id"] != self.top]
        (self.store / "overlay-layers/layers.json").write_text(json.dumps(kept))

    def link_elsewhere(self) -> None:
        (link := self.link(self.top)).unlink()
        link.symlink_to(f"../{self.base}/diff")

    def name_a_child(self) -> None:
        (self.layer(self.middle) / "lower").write_text(f"l/{self.link(self.top).name}")
        (self.layer(self.middle) / "lower-layers").write_text(self.top)


@pytest.mark.parametrize(
    ("damage", "problems"),
    [
        (
            lambda one: (one.store / "overlay-images/images.lock").unlink(),
            ["images.lock is absent"],
        ),
        (lambda one: shutil.rmtree(one.documents), ["the documents of", ":1) are absent"]),
        (Victim.forget, ["no store has layer", "(example.org/file:1)"]),
        (lambda one: shutil.rmtree(one.layer(one.top) / "diff"), ["its tree is absent"]),
        (lambda one: one.link(one.top).unlink(), ["its link", "is absent"]),
        (Victim.link_elsewhere, ["its link", "leads to ../"]),
        (lambda one: (one.layer(one.top) / "link").unlink(), ["its file link is absent"]),
        (lambda one: one.link(one.middle).unlink(), ["file lower names l/", "no store has that"]),
        (
            lambda one: (one.layer(one.top) / "lower-layers").write_text(one.base),
            ["its files lower and lower-layers name different trees"],
        ),
        (Victim.name_a_child, ["its file lower names layer", "which is none of its parents"]),
    ],
)
def test_a_damaged_store(
    repo: Path, tmp_path: Path, damage: Callable[[Victim], object], problems: list[str]
) -> None:
    store = ostreerepo.checkout(repo, "quoted", tmp_path / "os", copy=True) / STORE
    damage(Victim(store))
    found = looked_at(store, tmp_path).symptoms
    assert {one.kind for one in found} == {"damaged-store"}
    said = [one.problem for one in found]
    assert any(all(part in problem for part in problems) for problem in said), said


def test_a_store_of_podman_s_own_is_well(repo: Path, tmp_path: Path) -> None:
    podman = new_podman(tmp_path / "podman")
    for name in IMAGES:
        podman("pull", "--quiet", f"oci:{repo.parent}/layout:{name}")
    podman.create("c", podman("images", "--quiet").split()[0], "/nothing")
    root = podman.home / "root"
    assert looked_at(root, tmp_path).symptoms == ()
    podman("rm", "c")


# -- the kernel --


def test_the_depth_of_overlays(repo: Path, tmp_path: Path) -> None:
    """A store on one overlay carries containers, on two it does not."""
    store = ostreerepo.checkout(repo, "none", tmp_path / "os") / STORE
    with below_an_overlay(store, tmp_path / "once") as once:
        assert looked_at(once, tmp_path).symptoms == ()
        with below_an_overlay(once, tmp_path / "twice") as twice:
            (one,) = looked_at(twice, tmp_path).symptoms
            assert one.kind == "overlay-depth"
            with (
                pytest.raises(CommandError),
                overlay_mount([twice / "overlay", twice / "overlay-layers"], tmp_path / "thrice"),
            ):
                pass


@pytest.mark.parametrize(
    ("release", "counts"),
    [
        ("6.18.0-1.fc44", True), ("6.18.4", True), ("6.18.5", False), ("6.18", True),
        ("6.12.63+deb13", True), ("6.12.62", False), ("6.19.1", False), ("odd", False),
    ],
)  # fmt: skip
def test_kernels_that_count_erofs(release: str, *, counts: bool) -> None:
    assert counts_erofs(release) is counts


def test_labels_count_where_selinux_is_enforcing(repo: Path, tmp_path: Path) -> None:
    store = ostreerepo.checkout(repo, "none", tmp_path / "os", copy=True) / STORE
    enforce = tmp_path / "sys/fs/selinux/enforce"
    enforce.parent.mkdir(parents=True)
    for text, kinds in (("0", []), ("1", ["labels"])):
        enforce.write_text(text)
        assert [one.kind for one in looked_at(store, tmp_path).symptoms] == kinds
    directories = [*store.glob("overlay*"), *store.glob("overlay/*/diff")]
    for path in directories:
        os.setxattr(path, "security.selinux", b"system_u:object_r:container_ro_file_t:s0\0")
    assert looked_at(store, tmp_path).symptoms == ()
    os.setxattr(store / "overlay-images", "security.selinux", b"system_u:object_r:lib_t:s0")
    (one,) = looked_at(store, tmp_path).symptoms
    assert "system_u:object_r:lib_t:s0" in one.problem


def test_a_container_that_cannot_start(tmp_path: Path) -> None:
    storage = OwnStorage.made(tmp_path / "storage")
    storage.add_layer(digits("c"), digits("gone"), link("c"))
    storage.add_container(digits("container"), digits("c"))
    found = diagnosis(storage.root, Configured.of([OwnStorage.made(tmp_path / "store").root]))
    assert [one.kind for one in found.symptoms] == ["stuck-container"]


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
