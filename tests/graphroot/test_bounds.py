"""A store with files that have no end: terabytes that cost their owner nothing."""

import gzip
from pathlib import Path
from typing import Unpack

import pytest

from importer.errors import ImporterError
from importer.files.foreign import ForeignDirectory
from importer.graphroot import job
from importer.graphroot.docker import Dockerroot
from importer.progress import Silence
from layers.tarsplit.record_reader import tar_size
from tests.tools.dockerroot import docker_from_podman
from tests.tools.expected import layer_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import How, run_storage
from tests.tools.tarbuild import Entry

pytestmark = pytest.mark.root

TERABYTE = 1 << 40


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    files = [Entry(b"f%d" % n, content=b"f") for n in range(10)]
    return build_oci(tmp_path_factory.mktemp("bounds") / "layout", "t", [files])


def grown(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(TERABYTE)


def refused(repo: Path, store: Path, **how: Unpack[How]) -> str:
    outcome = run_storage(repo, store, **how)
    assert outcome.status == 1, outcome
    return outcome.said("error")[0]


@pytest.mark.parametrize(
    "where",
    [
        "overlay-images/images.json",
        "overlay-layers/layers.json",
        "overlay-images/IMAGE/manifest",
        "overlay-layers/LAYER.tar-split.gz",
    ],
)
def test_a_sparse_file_is_not_read(repo: Path, store: Path, built: BuiltImage, where: str) -> None:
    name = where.replace("LAYER", layer_ids(built.diff_ids)[0]).replace("IMAGE", built.image_id)
    grown(store / name)
    assert f"{store / name} has more than " in refused(repo, store)


@pytest.mark.parametrize("name", ["repositories.json", "imagedb", "cache-id", "tar-split.json.gz"])
def test_nor_in_dockers_store(
    repo: Path, pulled: Path, built: BuiltImage, tmp_path: Path, name: str
) -> None:
    names = {"me/a": {"me/a:t": f"sha256:{built.image_id}"}}
    home = docker_from_podman(pulled, tmp_path / "docker", names) / "image" / "overlay2"
    if name == "imagedb":
        grown(home / "imagedb" / "content" / "sha256" / built.image_id)
    else:
        grown(next(home.rglob(name)))
    assert "has more than " in refused(repo, tmp_path / "docker")


# Few lines: the record may not have more than the tar has headers.
NOTHING = b'{"type":1,"name":"%s","size":0}\n' % (b"f" * 400_000)
LINES = 8


def bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Bounds a record's lines at those that it has and LINES more, which it gets. The lines."""
    lines = gzip.decompress(path.read_bytes())
    monkeypatch.setattr(job, "MAX_UNPACKED", len(lines) + LINES * len(NOTHING))
    path.write_bytes(gzip.compress(lines + LINES * NOTHING))
    assert path.stat().st_size < 30_000
    return lines


def test_a_record_is_bounded_once_unpacked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = store.rglob("*.tar-split.gz")

    def size() -> int:
        with ForeignDirectory.named(store) as directory:
            found = job.Record(directory, bytes(path.relative_to(store)))
            with found.parts() as parts:
                return tar_size(parts)

    whole = size()
    lines = bounded(path, monkeypatch)
    assert size() == whole > 0
    path.write_bytes(gzip.compress(lines + (LINES + 1) * NOTHING))
    with pytest.raises(ImporterError, match=rf"^{path} has more than \d+ bytes once unpacked"):
        size()


def test_the_bound_follows_the_limit_of_entries(repo: Path, store: Path) -> None:
    """8 KiB of lines an entry: two entries are as few as the layers have."""
    for path in store.rglob("*.tar-split.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + LINES * NOTHING))
    assert "bytes once unpacked" in refused(repo, store, config={"max-layer-entries": "20"})
    assert run_storage(repo, store).status == 0


def test_nor_is_dockers_read_beyond(
    pulled: Path, built: BuiltImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"me/a": {"me/a:t": f"sha256:{built.image_id}"}}
    root = docker_from_podman(pulled, tmp_path / "docker", names)
    (path,) = root.rglob("tar-split.json.gz")
    with ForeignDirectory.named(root) as directory:
        docker = Dockerroot(directory, Silence())
        (image,) = docker.images()
        lines = bounded(path, monkeypatch)
        assert docker.load(image).digest
        path.write_bytes(gzip.compress(lines + (LINES + 1) * NOTHING))
        with pytest.raises(ImporterError, match=rf"^{path} has more than \d+ bytes once"):
            docker.load(image)


def test_entries_are_counted_in_a_walk(repo: Path, store: Path) -> None:
    for path in store.rglob("*.tar-split.gz"):
        path.unlink()
    assert "more than 9 entries" in refused(repo, store, config={"max-layer-entries": "9"})
    assert run_storage(repo, store, config={"max-layer-entries": "10"}).status == 0
