"""A store whose owner wants the files of whoever imports it: nothing leads out of the store."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from importer.files import beneath
from tests.tools import withoutopenat2
from tests.tools.dockerroot import docker_from_podman
from tests.tools.expected import layer_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import How, Outcome, run_storage
from tests.tools.ostreerepo import init
from tests.tools.process import run
from tests.tools.racer import Racer, exchange
from tests.tools.tarbuild import Entry

pytestmark = pytest.mark.root

SECRET = b"root's own secret, which is nowhere in the store\n"
LAYERS = [
    [
        Entry(b"home", "dir", mode=0o755),
        Entry(b"home/key", content=b"the store's own\n"),
        Entry(b"home/z", content=b"z\n"),
    ]
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return build_oci(tmp_path_factory.mktemp("escape") / "layout", "t", LAYERS)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A directory that is root's own, with a file of each name that is in the layer."""
    place = tmp_path / "secret"
    place.mkdir(mode=0o700)
    (place / "key").write_bytes(SECRET)
    (place / "z").write_bytes(SECRET)
    return place


@pytest.fixture
def diff(store: Path, built: BuiltImage) -> Path:
    return store / "overlay" / layer_ids(built.diff_ids)[0] / "diff"


def gave_nothing_out(repo: Path) -> None:
    """The secret is in no object; bare-user repos keep contents as they are."""
    for path in repo.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert SECRET not in path.read_bytes(), path


def outside(path: Path, place: Path) -> None:
    """Move what is there out of the store, and leave a symlink to it."""
    target = place / f"moved-{path.name}"
    shutil.move(path, target)
    path.symlink_to(target)


def refused(repo: Path, store: Path) -> Outcome:
    outcome = run_storage(repo, store)
    assert outcome.status == 1, outcome
    assert re.search("Too many levels of symbolic|Not a directory", outcome.said("error")[0])
    assert "symlink" in outcome.said("hint")[0]
    gave_nothing_out(repo)
    return outcome


@pytest.mark.parametrize(
    "where",
    [
        "overlay",
        "overlay-images",
        "overlay-layers",
        "overlay-images/images.json",
        "overlay-layers/layers.json",
        "overlay/LAYER",
        "overlay/LAYER/diff",
        "overlay-images/IMAGE",
        "overlay-images/IMAGE/manifest",
        "overlay-layers/LAYER.tar-split.gz",
    ],
)
def test_a_symlink_in_a_store_is_not_followed(
    repo: Path, store: Path, secret: Path, built: BuiltImage, where: str
) -> None:
    name = where.replace("LAYER", layer_ids(built.diff_ids)[0]).replace("IMAGE", built.image_id)
    outside(store / name, secret)
    refused(repo, store)


@pytest.mark.parametrize(
    "where",
    [
        "image/overlay2",
        "image/overlay2/imagedb",
        "image/overlay2/repositories.json",
        "image/overlay2/layerdb",
        "overlay2",
    ],
)
def test_a_symlink_in_dockers_store_is_not_followed(
    repo: Path, tmp_path: Path, pulled: Path, secret: Path, built: BuiltImage, where: str
) -> None:
    names = {"me/a": {"me/a:t": f"sha256:{built.image_id}"}}
    store = docker_from_podman(pulled, tmp_path / "docker", names)
    outside(store / where, secret)
    refused(repo, store)


def test_the_way_to_a_store_may_have_symlinks(repo: Path, store: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(store)
    assert run_storage(repo, link).status == 0


# -- while we read --


DENIED = (sys.executable, withoutopenat2.__file__)


@pytest.fixture(params=[(), DENIED], ids=["openat2", "a walk"])
def way(request: pytest.FixtureRequest) -> How:
    """How commands run that have openat2(2), and commands to which it is denied."""
    return {"wrapper": request.param}


@pytest.mark.parametrize("watched", ["home", "."])
def test_an_exchange_of_a_parent_is_not_followed(
    repo: Path, store: Path, diff: Path, secret: Path, way: How, watched: str
) -> None:
    """Without a record each file is looked up by the walk, while its parent becomes a symlink."""
    for record in store.rglob("*.tar-split.gz"):
        record.unlink()
    link = diff.parent / "away"
    link.symlink_to(secret)
    with Racer(diff / watched, diff / "home", link) as racer:
        for number in range(2):
            own = init(repo.with_name(f"repo-{number}"), "bare-user")
            run_storage(own, store, **way)
            gave_nothing_out(own)
    assert racer.exchanged


def test_an_exchange_of_a_file_is_not_followed(
    repo: Path, store: Path, diff: Path, secret: Path, way: How
) -> None:
    for record in store.rglob("*.tar-split.gz"):
        record.unlink()
    link = diff.parent / "away"
    link.symlink_to(secret / "key")
    with Racer(diff / "home", diff / "home" / "key", link) as racer:
        for number in range(2):
            own = init(repo.with_name(f"repo-{number}"), "bare-user")
            run_storage(own, store, **way)
            gave_nothing_out(own)
    assert racer.exchanged


def test_an_exchange_while_a_record_is_followed(
    repo: Path, store: Path, diff: Path, secret: Path, way: How
) -> None:
    """With a record, the digests would tell; but not to whom the file was shown before."""
    link = diff.parent / "away"
    link.symlink_to(secret)
    with Racer(diff, diff / "home", link) as racer:
        outcome = run_storage(repo, store, **way)
    assert outcome.status in (0, 1)
    gave_nothing_out(repo)
    assert racer.exchanged


def test_another_store_in_the_place_of_the_one_that_was_named(
    repo: Path, store: Path, tmp_path: Path
) -> None:
    """Once the store's own lists are read, its layers are read from the same store."""
    other = tmp_path / "other"
    run(["cp", "-a", store, other])
    for path in (other / "overlay").rglob("key"):
        path.write_bytes(SECRET)
    for one in (store, other):
        for record in one.rglob("*.tar-split.gz"):
            record.unlink()
    with Racer(store / "overlay-layers", store, other):
        outcome = run_storage(repo, store)
    if outcome.status:
        assert "was replaced while it was read" in outcome.said("error")[0]
    gave_nothing_out(repo)


# -- the opening itself --


@pytest.fixture(params=[True, False], ids=["openat2", "a walk"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """A directory with files and symlinks, opened by either way."""
    monkeypatch.setattr(beneath, "_has_openat2", lambda: request.param)
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_bytes(b"file")
    (tmp_path / "root" / "a" / "inward").symlink_to("b")
    (tmp_path / "root" / "outward").symlink_to(tmp_path)
    (tmp_path / "root" / "file-link").symlink_to("a/b/file")
    descriptor = os.open(tmp_path / "root", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_either_way_is_tested() -> None:
    """This kernel has openat2(2), and the filter takes it away."""
    asked = "import importer.files.beneath as b; print(b._has_openat2())"
    assert run([sys.executable, "-c", asked]).strip() == "True"
    assert run([*DENIED, sys.executable, "-c", asked]).strip() == "False"


@pytest.mark.parametrize("opening", [beneath.open_file, beneath.open_directory, beneath.look_at])
@pytest.mark.parametrize(
    "path",
    [b"a/inward/file", b"outward/root", b"..", b"a/..", b"a/../a", b"/etc", b"", b"a//b", b"./a"],
)
def test_what_leads_elsewhere_is_refused(
    root: int, opening: Callable[[int, bytes], int], path: bytes
) -> None:
    with pytest.raises(OSError, match=r"Too many levels|Invalid cross-device|Not a directory"):
        opening(root, path)


@pytest.mark.parametrize("path", [b"file-link", b"outward", b"a/inward"])
def test_a_symlink_is_looked_at_and_not_opened(root: int, path: bytes) -> None:
    os.close(beneath.look_at(root, path))
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
        beneath.open_file(root, path)


def test_what_is_there_is_opened(root: int) -> None:
    descriptor = beneath.open_file(root, b"a/b/file")
    assert os.read(descriptor, 10) == b"file"
    os.close(descriptor)
    directory = beneath.open_directory(root, b"a/b")
    assert os.listdir(directory) == ["file"]  # noqa: PTH208 - of a descriptor
    os.close(directory)


def test_what_was_looked_at_is_what_is_read(root: int, tmp_path: Path) -> None:
    seen = beneath.look_at(root, b"a/b/file")
    other = tmp_path / "other"
    other.write_bytes(b"other")
    exchange(tmp_path / "root" / "a" / "b" / "file", other)
    descriptor = beneath.reopened(seen)
    assert os.read(descriptor, 10) == b"file"
    os.close(descriptor)
    os.close(seen)
