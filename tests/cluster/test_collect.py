"""--collect: workers that do not see the repo keep a layer's files until they are pulled."""

import http.client
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from importer.cluster.messages import Parcel
from importer.cluster.outbox import Outbox
from importer.repo.new_objects import NewObjects
from importer.repo.writer import Repo
from layers.entry import Owner
from tests.cluster.test_same_commits import check_clean, files, without_readers
from tests.tools import ostreerepo, patience
from tests.tools.dask import DaskCluster
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import fsck, heads
from tests.tools.patience import await_that
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and a worker."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        running.add()
        yield running


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image of several layers, the last with opaque directories and whiteouts."""
    layout = tmp_path_factory.mktemp("image") / "layout"
    return build_oci(layout, "t", [files(number) for number in range(5)])


def outboxes(dask: DaskCluster) -> list[Path]:
    """The repos that workers keep."""
    return list(dask.directory.rglob("import-image-*"))


def test_the_same_commits(
    registry: Registry, dask: DaskCluster, image: BuiltImage, tmp_path: Path
) -> None:
    reference = registry.push(image, "collect:t")
    alone, repo = (ostreerepo.init(tmp_path / name) for name in ("alone", "repo"))
    expected = imported(alone, "--branch=os/images", reference)
    flags = ["--branch=os/images", f"--cluster={dask.address}", "--collect"]
    document = imported(repo, *flags, reference)
    assert all("read_by" in layer for layer in document["images"][0]["layers"])
    assert without_readers(document) == expected
    assert heads(repo) == heads(alone)
    check_clean(repo)
    assert objects(repo) == objects(alone)
    await_that(lambda: outboxes(dask) == [], "a worker keeps its files")


def objects(repo: Path) -> set[str]:
    """The names of all objects: nothing that carried the files is left."""
    return {str(one.relative_to(repo)) for one in (repo / "objects").glob("*/*")}


@pytest.mark.root
def test_the_disk_of_one_worker_is_full(
    registry: Registry, layout: Path, repo: Path, tmp_path: Path
) -> None:
    """Alone, it is the import's error; the other one can read the layer, which no disk of 900 KB
    could hold."""
    noise = Entry(b"noise", content=random.Random(1).randbytes(2_000_000))
    reference = registry.push(build_oci(layout, "t", [[noise]]), "noise:t")
    (tmp_path / "dask").mkdir()
    with DaskCluster(tmp_path / "dask") as dask:
        small = f'mount -t tmpfs -o size=900K none "{tmp_path / "dask"}" && exec "$@"'
        dask.add(wrapper=["unshare", "--mount", "sh", "-c", small, "sh"])
        flags = ["--branch=os/images", f"--cluster={dask.address}", "--collect"]
        outcome = run_import(repo, *flags, reference)
        assert outcome.status == 1
        (line,) = outcome.said("error")
        assert "No space left on device" in line
        assert "worker tcp://127.0.0.1:" in line
        dask.add()
        outcome = run_import(repo, *flags, reference)
    assert outcome.status == 0, outcome.stderr
    fsck(repo)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """A worker's repo."""
    made = Outbox(str(tmp_path), "127.0.0.1")
    yield made
    made.close()


def packed(outbox: Outbox) -> Parcel:
    """With one file in it."""
    place = outbox.place()
    objects = NewObjects(place, 0o777)
    objects.write_file(Owner(0o644, 0, 0), b"content")
    objects.close()
    return outbox.packed(place.directory)


def status(url: str, path: str) -> int:
    """Of the answer, to a client that changes nothing about the path."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=patience.SECONDS)
    connection.request("GET", f"{parts.path}{path}")
    return connection.getresponse().status


def test_only_who_has_the_token_is_served(outbox: Outbox) -> None:
    parcel = packed(outbox)
    url, token = parcel.url.rsplit("/", 1)
    path = f"/objects/{parcel.commit[:2]}/{parcel.commit[2:]}.commit"
    assert status(parcel.url, path) == 200
    for other in ("", "/", "/tmp", "/objects", "/../config", f"{path}/../../../config", "//config"):
        assert status(parcel.url, other) == 404
    for other in (url, f"{url}/", f"{url}/{token[:-1]}"):
        assert status(other, path) == 404
    assert token not in repr(parcel)


def test_what_is_served_is_an_ostree_repo(outbox: Outbox, repo: Path) -> None:
    """libostree reads the commit that we wrote without it."""
    url, commit = (parcel := packed(outbox)).url, parcel.commit
    with Repo.open(repo).pulled_objects() as pulled:
        assert pulled.pull(url, commit) == len(b"content")
        assert pulled.pull(url, commit) == 0
    assert len(objects(repo)) == 1
    top = next(outbox_top for outbox_top in repo.parent.glob("import-image-*"))
    for part in ("heads", "remotes"):
        (top / "refs" / part).mkdir(parents=True)
    fsck(top)
    assert f"commit {commit}" in ostreerepo.ostree(top, "log", commit)
