"""Each document that a store in a commit has is bounded: of one without end, little is read."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from importer.commit.base_tree import BaseCommit
from importer.errors import ImporterError
from importer.release.head import layers_of, release_of
from importer.repo.commit_metadata import Base
from importer.repo.values import RepoDirectory
from importer.repo.writer import Repo
from importer.store.documents import StoredDocuments
from importer.store.layers import read_link, whiteouts_in
from importer.store.reader import StoreView, open_store
from importer.store.writer import DIRECTORY, FILE, check_records, has_records
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE, parse_records
from layers.errors import Fault, LayerError
from layers.storage.image_record import big_data_file
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.storecommand import image_store
from tests.tools.tarbuild import Entry

BRANCH = "os/images"
PREFIX = "usr/lib/containers/storage"
LAYERS, IMAGES = "overlay-layers/layers.json", "overlay-images/images.json"
LONG = "LONG"  # a branch with the document that is too long


class Site:
    """A repo with an image's store; `lengthened` makes branches of it."""

    def __init__(self, path: Path, image: BuiltImage) -> None:
        self.image = image
        self.repo = Repo.open(path)
        sizes = (MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE)
        with self.repo.transaction():
            self._long = {n: self.repo.write_file(FILE, b" " * (n + 1)) for n in sizes}

    @property
    def manifest(self) -> str:
        return self.big_data("manifest")

    def big_data(self, key: str) -> str:
        return f"overlay-images/{self.image.image_id}/{big_data_file(key)}"

    def lengthened(self, path: str, limit: int) -> Repo:
        """Put a file of one byte more than the limit at a path of the commit."""
        head = self.repo.head(BRANCH)
        *above, name = path.split("/")
        with self.repo.transaction():
            root = here = self.repo.tree_of(head)
            for one in above:
                here = here.enter(one) or here.directory(one, DIRECTORY)
            here.file(name, self._long[limit])
            root.write()
        with self.repo.transaction():
            self.repo.set_ref(LONG, self.repo.write_commit(root, head.message))
        return self.repo


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("bounds")
    image = build_oci(home / "layout", "t", [[Entry(b"a", content=b"a\n")]])
    imported(home / "repo", f"--branch={BRANCH}", f"oci:{image.directory}:t")
    return Site(home / "repo", image)


def _view(repo: Repo) -> StoreView:
    return open_store(repo, LONG, None)


def _root(repo: Repo) -> RepoDirectory:
    return _view(repo).root


LISTS: list[tuple[str, Callable[[Repo], object]]] = [
    (LAYERS, lambda repo: _view(repo).layers),
    (LAYERS, lambda repo: whiteouts_in(_root(repo))),
    (LAYERS, lambda repo: check_records(_root(repo))),
    (LAYERS, lambda repo: layers_of(repo, repo.head(LONG))),
    (IMAGES, lambda repo: _view(repo).images),
    (IMAGES, lambda repo: check_records(_root(repo))),
    (IMAGES, lambda repo: release_of(repo, repo.head(LONG), LONG)),
]


@pytest.mark.parametrize(("path", "read"), LISTS)
def test_lists_of_records(site: Site, path: str, read: Callable[[Repo], object]) -> None:
    repo = site.lengthened(f"{PREFIX}/{path}", MAX_RECORDS_SIZE)
    name = path.rpartition("/")[2]
    with pytest.raises(Fault, match=rf"{name} has more than {MAX_RECORDS_SIZE} bytes"):
        read(repo)


def test_a_store_without_trees_is_looked_for_in_its_records(site: Site) -> None:
    """As those that come before podman's first pull; `has_records` reads nothing of others."""
    repo = site.lengthened(f"empty/{LAYERS}", MAX_RECORDS_SIZE)
    store = repo.root(repo.head(LONG)).find("empty")
    assert store is not None
    with pytest.raises(ImporterError, match=r"layers\.json has more than"):
        has_records(store)


def test_documents_of_an_image(site: Site) -> None:
    digest = Digest.parse(site.image.digest)
    for key in ("manifest", f"manifest-{digest}", f"sha256:{site.image.image_id}"):
        repo = site.lengthened(f"{PREFIX}/{site.big_data(key)}", MAX_DOCUMENT_SIZE)
        with pytest.raises(LayerError, match=f"has more than {MAX_DOCUMENT_SIZE} bytes"):
            _ = _view(repo).images


def test_a_known_document_is_not_read_to_its_end_for_an_import(site: Site) -> None:
    digest = Digest.parse(site.image.digest)
    path = site.big_data(f"manifest-{digest}")
    repo = site.lengthened(f"{PREFIX}/{path}", MAX_DOCUMENT_SIZE)
    documents = StoredDocuments()
    documents.add(repo.root(repo.head(LONG)), f"/{PREFIX}")
    with pytest.raises(LayerError, match=f"has more than {MAX_DOCUMENT_SIZE} bytes"):
        documents.find(digest)


def test_links(site: Site) -> None:
    store = site.repo.root(site.repo.head(BRANCH)).find(PREFIX)
    assert store is not None
    name = next(one.decode() for one in store.directories[b"overlay"].directories if one != b"l")
    repo = site.lengthened(f"{PREFIX}/overlay/{name}/link", MAX_DOCUMENT_SIZE)
    with pytest.raises(LayerError, match=f"link has more than {MAX_DOCUMENT_SIZE} bytes"):
        read_link(_root(repo), name)


def test_files_of_the_operating_system(site: Site) -> None:
    path = "usr/etc/containers/storage.conf"
    repo = site.lengthened(path, MAX_DOCUMENT_SIZE)
    tree = BaseCommit(repo, Base(repo.head(LONG), LONG))
    with pytest.raises(ImporterError, match=f"/{path} .*more than {MAX_DOCUMENT_SIZE} bytes"):
        tree.read(f"/{path}")


def test_records_that_come_from_elsewhere() -> None:
    with pytest.raises(LayerError, match=r"layers\.json has \d+ bytes, more than"):
        parse_records(b" " * (MAX_RECORDS_SIZE + 1), "layers.json")


@pytest.mark.parametrize("record", [b"{},", b"[],", b'"",', b'{"a":0},'])
def test_records_are_counted_before_they_are_built(record: bytes) -> None:
    raw = b"[" + record * (MAX_RECORDS_SIZE // len(record) - 1) + b"{}]"
    tracemalloc.start()
    try:
        with pytest.raises(LayerError, match=r"layers\.json has more than \d+ JSON members"):
            parse_records(raw, "layers.json")
        assert tracemalloc.get_traced_memory()[1] < len(raw)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", [LAYERS, IMAGES, "overlay-images/IMAGE/manifest"])
def test_verify_reports_a_document_without_end(site: Site, path: str) -> None:
    path = path.replace("IMAGE", site.image.image_id)
    limit = MAX_DOCUMENT_SIZE if path.endswith("manifest") else MAX_RECORDS_SIZE
    site.lengthened(f"{PREFIX}/{path}", limit)
    outcome = image_store(site.repo.path, "verify", LONG)
    assert outcome.status == 1
    assert f"{path}: {path.rpartition('/')[2]} has more than {limit} bytes" in outcome.stdout


def test_verify_finds_a_broken_store_behind_a_branch_without_a_store(site: Site) -> None:
    """Of all branches, in the order of their names."""
    repo = site.lengthened(f"{PREFIX}/{LAYERS}", MAX_RECORDS_SIZE)
    head = repo.head(BRANCH)
    with repo.transaction():
        root = repo.tree_of(head)
        root.remove("usr")
        root.write()
    with repo.transaction():
        repo.set_ref("A", repo.write_commit(root, head.message))
    outcome = image_store(repo.path, "verify")
    assert outcome.status == 1
    assert "layers.json has more than" in outcome.stdout
