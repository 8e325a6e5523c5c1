"""`--storage-conf` and `--crio-conf`: what podman and CRI-O of the device read."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.tools.cgroup2 import UNSHARE
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE
from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.importrelease import run_release
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, ls, ostree
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry

CRIO = "usr/etc/crio/crio.conf.d"
DROP_IN = "usr/etc/containers/storage.conf.d"
APPENDING = '[storage.options]\nadditionalimagestores = ["/vendor", {append = true}]\n'
NOT_APPENDING = '[storage.options]\nadditionalimagestores = ["/vendor", {append = false}]\n'
REPLACING = '[storage.options]\nadditionalimagestores = ["/vendor"]\n'


@pytest.fixture
def name(registry: Registry, layout: Path) -> str:
    return registry.push(build_oci(layout, "t", [[Entry(b"a", content=b"a")]]), "conf/t:1")


def put(repo: Path, tmp_path: Path, files: dict[str, str], *arguments: str) -> str:
    """An import onto an OS with these files; what it told."""
    commit_os(repo, "os", os_tree(tmp_path / "root", files))
    outcome = run_import(repo, "--onto=os", "--branch=apps", *arguments)
    assert outcome.status == 0, outcome.stderr
    return outcome.stderr


def toml(repo: Path, path: str) -> dict[str, Any]:
    return tomllib.loads(ostree(repo, "cat", "apps", f"/{path}"))


# -- storage.conf.d --


@pytest.mark.parametrize("where", ["usr/share/containers/storage.conf.d", DROP_IN])
def test_a_drop_in_outlasts_those_that_replace_what_the_main_file_says(
    repo: Path, tmp_path: Path, name: str, where: str
) -> None:
    put(repo, tmp_path, {f"{where}/10-vendor.conf": REPLACING}, "--storage-conf", name)
    main = toml(repo, "usr/etc/containers/storage.conf")
    assert main["storage"]["options"]["additionalimagestores"] == [f"/{STORE}"]
    found = toml(repo, f"{DROP_IN}/99-import-image.conf")["storage"]["options"]
    assert found["additionalimagestores"] == [f"/{STORE}", {"append": True}]


ROOT = "containers/storage.rootful.conf.d"
ROOTLESS = "containers/storage.rootless.conf.d"
OURS = "99-import-image.conf"


@pytest.mark.parametrize(
    ("files", "written"),
    [
        # Fedora 45's file, and a store at another place than it names.
        ({f"usr/share/{ROOT}/00-vendor.conf": REPLACING}, [f"usr/etc/{ROOT}"]),
        ({f"usr/etc/{ROOTLESS}/10-users.conf": REPLACING}, [f"usr/etc/{ROOTLESS}"]),
        ({f"usr/share/{ROOTLESS}/1234/10-user.conf": REPLACING}, [f"usr/etc/{ROOTLESS}/1234"]),
        (
            {f"usr/share/{ROOT}/a.conf": REPLACING, f"usr/share/{ROOTLESS}/b.conf": REPLACING},
            [DROP_IN],
        ),
        # A file of a later directory counts for the one of the same name.
        ({f"{DROP_IN}/a.conf": REPLACING, f"usr/etc/{ROOT}/a.conf": ""}, [f"usr/etc/{ROOTLESS}"]),
        # {append = true} holds for the files after it, too: for theirs, and for those after ours.
        ({f"{DROP_IN}/a.conf": APPENDING, f"{DROP_IN}/b.conf": REPLACING}, []),
        ({f"{DROP_IN}/a.conf": REPLACING, f"{DROP_IN}/zz.conf": REPLACING}, [DROP_IN]),
    ],
)
def test_a_drop_in_for_those_alone_who_would_not_see_the_store(
    repo: Path, tmp_path: Path, name: str, files: dict[str, str], written: list[str]
) -> None:
    put(repo, tmp_path, files, "--storage-conf", name)
    ours = sorted(path for path in ls(repo, "apps") if path.endswith(OURS))
    assert ours == [f"/{directory}/{OURS}" for directory in sorted(written)]


def test_a_drop_in_for_root_that_hides_ours_is_an_error(
    repo: Path, tmp_path: Path, name: str
) -> None:
    files = {f"usr/share/{ROOT}/zz-vendor.conf": NOT_APPENDING}
    commit_os(repo, "os", os_tree(tmp_path / "root", files))
    outcome = run_import(repo, "--onto=os", "--branch=apps", "--storage-conf", name)
    assert outcome.status == 1
    assert f"replaces what {OURS} says: zz-vendor.conf" in outcome.stderr


MAIN = """\
[storage]
driver = "overlay"
graphroot = "{0}/root"
runroot = "{0}/run"
[storage.options.overlay]
skip_mount_home = "true"
"""
_IN_PLACE = """
mount --bind "$1/usr/etc/containers" /etc/containers
mount --bind "$1/usr/share/containers" /usr/share/containers
shift
exec "$@"
"""


@pytest.mark.root
@pytest.mark.parametrize("where", [ROOT, "containers/storage.conf.d"])
def test_podman_info_lists_the_store_once(
    repo: Path, tmp_path: Path, name: str, where: str
) -> None:
    """Whichever files the podman at hand reads."""
    prefix, other = tmp_path / "store", tmp_path / "other"
    other.mkdir()
    files = {
        "usr/etc/containers/storage.conf": MAIN.format(tmp_path / "podman"),
        f"usr/share/{where}/00-vendor.conf": REPLACING.replace("/vendor", f"{other}"),
    }
    put(repo, tmp_path, files, "--storage-conf", f"--prefix={prefix}", name)
    tree = checkout(repo, "apps", tmp_path / "tree")
    prefix.symlink_to(tree / prefix.relative_to("/"))
    podman = new_podman(tmp_path / "podman")
    environment = podman.environment.copy()
    del environment["CONTAINERS_STORAGE_CONF"]
    wrapped = [*UNSHARE, "sh", "-euc", _IN_PLACE, "sh", str(tree)]
    info = json.loads(run([*wrapped, "podman", "info", "--format=json"], env=environment))
    (listed,) = [
        stores
        for key, stores in info["store"]["graphOptions"].items()
        if key.endswith("additionalImageStores")
    ]
    assert listed.count(str(prefix)) == 1
    argv = [*wrapped, "podman", "images", "--format={{.Repository}}:{{.Tag}}"]
    assert run(argv, env=environment).splitlines() == [name]


@pytest.mark.parametrize("said", [None, APPENDING, REPLACING.replace("/vendor", f"/{STORE}")])
def test_no_drop_in_where_the_store_is_read_without_one(
    repo: Path, tmp_path: Path, name: str, said: str | None
) -> None:
    """podman would list the images of a store twice that is named twice."""
    files = {f"{DROP_IN}/10-vendor.conf": said} if said else {}
    put(repo, tmp_path, files, "--storage-conf", name)
    assert not [path for path in ls(repo, "apps") if "99-import-image" in path]


def test_a_later_drop_in_that_hides_ours_is_an_error(repo: Path, tmp_path: Path, name: str) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root", {f"{DROP_IN}/99-zz.conf": NOT_APPENDING}))
    outcome = run_import(repo, "--onto=os", "--branch=apps", "--storage-conf", name)
    assert outcome.status == 1
    assert "replaces what 99-import-image.conf says: 99-zz.conf" in outcome.stderr


# -- CRI-O --


def test_the_images_are_pinned_by_all_of_their_names(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, name: str
) -> None:
    built = build_oci(layout, "o", [[Entry(b"o", content=b"o")]])
    registry.push(built, "conf/o:1")
    by_digest = registry.by_digest(built, "conf/o")
    put(repo, tmp_path, {}, "--crio-conf", name, by_digest)
    crio = toml(repo, f"{CRIO}/50-import-image.conf")["crio"]
    assert crio == {"image": {"pinned_images": sorted([name, by_digest])}}


def test_what_the_base_says_before_is_kept_and_what_it_says_after_is_told(
    repo: Path, tmp_path: Path, name: str
) -> None:
    files = {
        "usr/etc/crio/crio.conf": '[crio.image]\npinned_images = ["main"]\n',
        f"{CRIO}/10-vendor.conf": '[crio.image]\npinned_images = ["vendor*"]\n',
        f"{CRIO}/20-vendor.conf": '[crio]\nstorage_option = ["overlay.mountopt=nodev"]\n',
        f"{CRIO}/90-vendor.conf": '[crio.image]\npinned_images = ["late"]\n',
    }
    flags = ("--crio-conf", "--crio-internal-repair=false", name)
    told = put(repo, tmp_path, files, *flags)
    crio = toml(repo, f"{CRIO}/50-import-image.conf")["crio"]
    assert crio == {
        "image": {"pinned_images": sorted([name, "vendor*"])},
        "internal_repair": False,
    }
    again = run_import(repo, "--onto=os", "--branch=apps", "--unchanged-exit-77", *flags)
    assert again.status == 77
    for one in (told, again.stderr):
        assert "90-vendor.conf comes after ours and replaces its pinned_images" in one
        assert "crio-wipe.service" in one


def test_a_release_with_nothing_new_tells_it_again(repo: Path, tmp_path: Path, name: str) -> None:
    late = {f"{CRIO}/90-vendor.conf": '[crio.image]\npinned_images = ["late"]\n'}
    commit_os(repo, "os", os_tree(tmp_path / "root", late))
    listed = tmp_path / "list"
    listed.write_text(f"{name}\n")
    flags = ("--branch=apps", "--release=r1", "--onto=os", "--crio-conf", "--unchanged-exit-77")
    for status in (0, 77):
        outcome = run_release(repo, *flags, listed)
        assert outcome.status == status, outcome.stderr
        assert "90-vendor.conf comes after ours and replaces its pinned_images" in outcome.stderr


def test_images_that_cannot_be_pinned_are_told(repo: Path, tmp_path: Path, layout: Path) -> None:
    build_oci(layout, "nameless", [[Entry(b"n", content=b"n")]])
    source = f"oci:{layout}:nameless"
    told = put(repo, tmp_path, {}, "--crio-conf", source)
    assert "images without a name, so that CRI-O cannot pin them: 1" in told
    named = put(repo, tmp_path / "b", {}, "--crio-conf", f"r.io/named:1={source}")
    assert "without a name" not in named
    assert toml(repo, f"{CRIO}/50-import-image.conf")["crio"] == {
        "image": {"pinned_images": ["r.io/named:1"]}
    }


@pytest.mark.parametrize("text", ["[crio", "[crio.image]\npinned_images = 1\n"])
def test_a_crio_conf_that_cannot_be_read_is_an_error(
    repo: Path, tmp_path: Path, name: str, text: str
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root", {f"{CRIO}/10-a.conf": text}))
    outcome = run_import(repo, "--onto=os", "--branch=apps", "--crio-conf", name)
    assert outcome.status == 1
    assert "10-a.conf of CRI-O in the base commit" in outcome.stderr


@pytest.mark.parametrize(
    "flags", [("--crio-conf",), ("--onto=os", "--branch=other", "--crio-internal-repair=false")]
)
def test_options_that_say_nothing(repo: Path, name: str, flags: tuple[str, ...]) -> None:
    outcome = run_import(repo, *flags, name)
    assert outcome.status == 2
    assert "is only for --" in outcome.stderr


# -- an overlayfs at /usr --

COMPOSEFS = {"usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = yes\n"}
ETC_EXTENSION = {"usr/etc/extensions/debug.raw": ""}
VAR_EXTENSION = {"var/lib/extensions/debug/usr/bin/gdb": ""}
NO_IDMAP = "_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes"
ENGINE = "usr/etc/containers/containers.conf.d/50-import-image.conf"
UNIT = "usr/lib/systemd/system/crio.service.d/50-import-image.conf"


@pytest.mark.parametrize("files", [COMPOSEFS, ETC_EXTENSION, VAR_EXTENSION])
def test_nobody_tries_to_map_ids_of_an_overlayfs(
    repo: Path, tmp_path: Path, name: str, files: dict[str, str]
) -> None:
    put(repo, tmp_path, files, "--storage-conf", "--crio-conf", name)
    assert toml(repo, ENGINE) == {"engine": {"env": [NO_IDMAP, {"append": True}]}}
    unit = ostree(repo, "cat", "apps", f"/{UNIT}").splitlines()
    assert unit[-2:] == ["[Service]", f"Environment={NO_IDMAP}"]


def test_ids_are_mapped_elsewhere(repo: Path, tmp_path: Path, name: str) -> None:
    base = os_tree(tmp_path / "root")
    (base / "var/lib/extensions").mkdir(parents=True)  # systemd's package brings it, empty
    commit_os(repo, "os", base)
    imported(repo, "--onto=os", "--branch=apps", "--storage-conf", "--crio-conf", name)
    assert not {f"/{ENGINE}", f"/{UNIT}"} & {*ls(repo, "apps")}


def test_whiteouts_below_extensions_are_told(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, name: str
) -> None:
    layers = [[Entry(b"a"), Entry(b"b")], [whiteout(b"a")]]
    deletes = registry.push(build_oci(layout, "d", layers), "conf/deletes:1")
    said = "the base commit has system extensions, and deleted files"
    assert said in put(repo, tmp_path, ETC_EXTENSION, name, deletes)
    for number, (files, flags) in enumerate(
        ((ETC_EXTENSION, (name,)), (ETC_EXTENSION, ("--whiteouts=none", deletes)), ({}, (deletes,)))
    ):
        branch = f"--branch=other-{number}"
        commit_os(repo, "os", os_tree(tmp_path / f"root-{number}", files))
        outcome = run_import(repo, "--onto=os", branch, *flags)
        assert outcome.status == 0, outcome.stderr
        assert said not in outcome.stderr


# -- other stores --


def test_other_images_of_the_base_are_told(repo: Path, tmp_path: Path, name: str) -> None:
    imported(repo, "--branch=osbuild", "--prefix=/usr/share/containers/storage", name)
    store = tmp_path / "osbuild"
    ostree(repo, "checkout", "--user-mode", "osbuild", str(store))
    root = os_tree(
        tmp_path / "root", {f"{STORE}/abc/version": "Directory", f"{STORE}/abc/manifest.json": "{}"}
    )
    (root / "usr/share").mkdir(parents=True, exist_ok=True)
    (store / "usr/share/containers").rename(root / "usr/share/containers")
    commit_os(repo, "os", root)
    outcome = run_import(repo, "--onto=os", "--branch=apps", name)
    assert outcome.status == 0, outcome.stderr
    assert "has a store at /usr/share/containers/storage too" in outcome.stderr
    assert f"has images of skopeo's dir: transport in /{STORE} (1)" in outcome.stderr
