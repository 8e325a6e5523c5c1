"""import-storage of layers without a tar-split record: the directory is all there is to go by.

podman's own store is the subject, its records removed. Where its directories say the same as
the tars did, the tree must be the one that the tars give; then they are changed to say it in
the other ways that overlayfs and fuse-overlayfs have.
"""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.images import definition
from tests.tools.expected import checked_out_store, layer_ids, merged
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import NOBODY, imported, imported_storage, run_storage
from tests.tools.ostreerepo import fsck, ls, ostree, refs, rev_parse
from tests.tools.podman import Podman, new_podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same
from tests.tools.tarbuild import Entry, opaque, whiteout

pytestmark = pytest.mark.root

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "images"
NAMES = ("deletions", "opaque-recreated", "odd")
BASE = [
    Entry(b"d", "dir", mode=0o755),
    Entry(b"d/f", content=b"f\n"),
    Entry(b"d/g", content=b"g\n"),
    Entry(b"d/sub", "dir", mode=0o755),
    Entry(b"d/sub/s", content=b"s\n"),
    Entry(b"e", content=b"e\n"),
    Entry(b"same", content=b"same\n"),
]
UPPER = [
    Entry(b"d", "dir", mode=0o750, uid=3, gid=4),
    opaque(b"d"),
    Entry(b"d/sub", "dir", mode=0o755),
    Entry(b"d/sub/new", mode=0o4755, content=b"new\n", xattrs={b"user.a": b"\0"}),
    Entry(b"d/link", "symlink", link=b"sub/new"),
    whiteout(b"e"),
    Entry(b"same", content=b"same\n", mode=0o600),
    Entry(b"dev", "dir", mode=0o755),
    Entry(b"dev/null", "char", device=(1, 3)),
]


@dataclass(frozen=True)
class Subject:
    """podman's store, whole, and the images that it pulled."""

    podman: Podman
    references: dict[str, str]
    built: dict[str, BuiltImage]

    def ids(self, name: str) -> list[str]:
        return layer_ids(self.built[name].diff_ids)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Subject:
    home = tmp_path_factory.mktemp("walk")
    built = {
        name: build_oci(home / "layout", name, definition.load(FIXTURES / f"{name}.layers"))
        for name in NAMES
        if name != "odd"
    }
    built["odd"] = build_oci(home / "layout", "odd", [BASE, UPPER])
    podman = new_podman(home / "podman")
    references = {name: registry.push(one, f"walk/{name}:1") for name, one in built.items()}
    podman("pull", "--quiet", "--tls-verify=false", *references.values())
    return Subject(podman, references, built)


@pytest.fixture
def store(subject: Subject, tmp_path: Path) -> Iterator[Path]:
    """A copy without records."""
    run(["cp", "-a", subject.podman.home / "root", tmp_path / "store"])
    for record in (tmp_path / "store").rglob("*.tar-split.gz"):
        record.unlink()
    yield tmp_path / "store"
    shutil.rmtree(tmp_path / "store")


@pytest.fixture
def upper(subject: Subject, store: Path) -> Path:
    """The directory of the upper layer of the image `odd`."""
    return store / "overlay" / subject.ids("odd")[1] / "diff"


@pytest.fixture(scope="module")
def from_tars(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with the same images from the registry."""
    repo = tmp_path_factory.mktemp("tars") / "repo"
    imported(repo, "--form=layers", *subject.references.values())
    return repo


def tree(repo: Path, layer_id: str) -> str:
    """Every path of a layer with its mode, owner, xattrs and object."""
    return ostree(repo, "ls", "-R", "-C", "-X", f"oci/layer/{layer_id}")


def assert_tree_of_tars(subject: Subject, from_tars: Path, repo: Path, name: str) -> None:
    for layer_id in subject.ids(name):
        assert tree(repo, layer_id) == tree(from_tars, layer_id)
    fsck(repo)


def mark_whiteout(path: Path, namespace: str) -> None:
    """A char 0:0 becomes an empty file with an xattr, as containers in containers have it."""
    path.unlink()
    path.touch()
    os.setxattr(path, f"{namespace}.overlay.whiteout", b"y" if namespace == "user" else b"")
    os.setxattr(path.parent, f"{namespace}.overlay.opaque", b"x")


# -- the same tree --


@pytest.mark.parametrize("name", NAMES)
def test_the_tree_is_that_of_the_tars(
    subject: Subject, from_tars: Path, store: Path, repo: Path, name: str
) -> None:
    outcome = run_storage(repo, "--json", store, subject.references[name])
    assert outcome.status == 0, outcome.stderr
    if name != "opaque-recreated":
        assert_tree_of_tars(subject, from_tars, repo, name)
    for diff_id, layer in zip(
        subject.built[name].diff_ids, outcome.document["images"][0]["layers"], strict=True
    ):
        said = f"layer {diff_id}: no tar-split record; taken as its directory is, unverified"
        assert said in outcome.stderr.splitlines()
        assert layer["verified"] is False
        assert f"oci/tar-split/{layer['layer_id']}" not in refs(repo)


@pytest.mark.parametrize("namespace", ["trusted", "user"])
def test_whiteouts_as_xattrs(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path, namespace: str
) -> None:
    mark_whiteout(upper / "e", namespace)
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


@pytest.mark.parametrize(
    "mark",
    ["trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque", ".wh..wh..opq"],
)
def test_opaque_directories_in_every_spelling(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path, mark: str
) -> None:
    os.removexattr(upper / "d", "trusted.overlay.opaque")
    if mark.startswith("."):
        (upper / "d" / mark).touch()
    else:
        os.setxattr(upper / "d", mark, b"y")
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")
    assert "/d/.ostree-wh.f" in ls(repo, f"oci/layer/{subject.ids('odd')[1]}")


def test_without_its_mark_the_directory_is_not_opaque(
    subject: Subject, store: Path, upper: Path, repo: Path
) -> None:
    os.removexattr(upper / "d", "trusted.overlay.opaque")
    imported_storage(repo, store, "odd:1")
    assert "/d/.ostree-wh.f" not in ls(repo, f"oci/layer/{subject.ids('odd')[1]}")


def test_fuse_overlayfs_whiteouts(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path
) -> None:
    (upper / "e").unlink()
    (upper / ".wh.e").touch()
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


def test_owners_modes_and_types_in_xattrs(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path
) -> None:
    """As fuse-overlayfs and `force_mask` keep them, for stores of users without many ids."""
    for path in sorted(upper.rglob("*"), reverse=True):
        status = path.lstat()
        if path.name == "null":
            path.unlink()
            path.touch()
            os.setxattr(path, "user.containers.override_stat", b"0:0:0644:char-1-3")
        elif path.is_symlink() or path.name == "e":
            continue  # symlinks have no user xattrs, and a whiteout has nobody to belong to
        else:
            said = f"{status.st_uid}:{status.st_gid}:0{status.st_mode & 0o7777:o}"
            os.setxattr(path, "user.containers.override_stat", said.encode())
            os.chown(path, 1000, 1000)
            path.chmod(0o700)
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


def test_the_bookkeeping_of_overlayfs_is_left_out(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path
) -> None:
    for name in ("origin", "impure", "nlink", "uuid", "protattr"):
        os.setxattr(upper / "d", f"trusted.overlay.{name}", b"y")
        os.setxattr(upper / "d" / "sub" / "new", f"user.overlay.{name}", b"y")
    os.setxattr(upper / "d", "user.fuseoverlayfs.origin", b"y")
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


def test_sockets_are_in_no_layer(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path
) -> None:
    here = Path.cwd()
    os.chdir(upper)  # a socket's path has 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("sock")
    finally:
        os.chdir(here)
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


def test_a_large_file_is_streamed(
    subject: Subject, store: Path, upper: Path, tmp_path: Path
) -> None:
    (upper / "large").write_bytes(b"0123456789" * 600_000)
    found = imported_storage(tmp_path / "repo", store, "odd:1")
    out = checked_out_store(tmp_path / "repo", found["branch"], tmp_path / "os")
    large = out / "overlay" / subject.ids("odd")[1] / "diff" / "large"
    assert large.read_bytes() == b"0123456789" * 600_000


def test_podman_sees_the_same_tree(
    subject: Subject, store: Path, upper: Path, tmp_path: Path
) -> None:
    mark_whiteout(upper / "e", "trusted")
    branch = imported_storage(tmp_path / "repo", store)["branch"]
    ours = checked_out_store(tmp_path / "repo", branch, tmp_path / "os")
    image = subject.built["odd"].image_id
    theirs = merged(subject.podman.home / "root", image, tmp_path / "theirs")
    theirs.pop(b"dev/null")  # ostree has no devices; runtimes have their own
    assert_same(merged(ours, image, tmp_path / "ours"), theirs, ("ours", "podman's"))


@pytest.mark.parametrize("recorded", [True, False])
def test_data_in_a_lower_layer(
    subject: Subject, from_tars: Path, store: Path, upper: Path, repo: Path, recorded: bool
) -> None:
    """As the kernel writes a file of which only the mode has changed, with metacopy=on."""
    if recorded:
        records = Path("root/overlay-layers")
        for path in (subject.podman.home / records).glob("*.tar-split.gz"):
            shutil.copy(path, store / "overlay-layers")
    os.truncate(upper / "same", 0)
    os.truncate(upper / "same", 5)
    os.setxattr(upper / "same", "trusted.overlay.metacopy", b"")
    imported_storage(repo, store, "odd:1")
    assert_tree_of_tars(subject, from_tars, repo, "odd")


def test_a_socket_hides_what_is_below(
    store: Path, upper: Path, repo: Path, subject: Subject
) -> None:
    (upper / "same").unlink()
    os.mknod(upper / "same", stat.S_IFSOCK | 0o755)
    imported_storage(repo, store, "odd:1")
    assert "/.ostree-wh.same" in tree(repo, subject.ids("odd")[1])


# -- what must not be taken so --


@pytest.mark.parametrize("namespace", ["trusted.overlay", "user.overlay", "user.fuseoverlayfs"])
@pytest.mark.parametrize("mark", ["metacopy", "redirect"])
def test_content_that_is_elsewhere_is_refused(
    store: Path, upper: Path, repo: Path, namespace: str, mark: str
) -> None:
    path = upper / "d" / ("sub" if mark == "redirect" else "sub/new")
    os.setxattr(path, f"{namespace}.{mark}", b"/elsewhere")
    outcome = run_storage(repo, store, "odd:1")
    assert outcome.status == 1
    followed = (namespace, mark) == ("trusted.overlay", "metacopy")
    said = (
        "its data is in a lower layer"
        if followed
        else f"the layer's directory uses overlayfs's {mark}"
    )
    assert f": {path.relative_to(upper)}: {said}" in outcome.said("error")[0]
    assert refs(repo) == [ref for ref in refs(repo) if not ref.startswith("oci/storage")]


def test_an_override_that_is_none(store: Path, upper: Path, repo: Path) -> None:
    os.setxattr(upper / "d", "user.containers.override_stat", b"root:root:755")
    outcome = run_storage(repo, store, "odd:1")
    assert outcome.status == 1
    assert ": d: user.containers.override_stat is b'root:root:755'" in outcome.said("error")[0]


def test_a_device_outside_of_dev(store: Path, upper: Path, repo: Path) -> None:
    (upper / "dev").rename(upper / "etc")
    outcome = run_storage(repo, store, "odd:1")
    assert outcome.status == 1
    assert "etc/null: ostree cannot hold a char node" in outcome.said("error")[0]
    assert run_storage(repo, "--device-nodes=skip", store, "odd:1").status == 0


def test_a_layer_larger_than_it_may_be(store: Path, repo: Path) -> None:
    outcome = run_storage(repo, store, "odd:1", config={"max-layer-size": "4"})
    assert outcome.status == 1
    assert "unpacks to more than 4 bytes" in outcome.said("error")[0]


def test_only_what_can_be_verified_where_that_is_asked_for(
    subject: Subject, store: Path, repo: Path
) -> None:
    outcome = run_storage(repo, "--verified-only", store, "odd:1")
    assert outcome.status == 1
    base = subject.built["odd"].diff_ids[0]
    assert outcome.said("error") == [f"layer {base} has no tar-split record to verify it by"]
    assert refs(repo) == []
    root = subject.podman.home / "root"
    assert run_storage(repo, "--verified-only", root, "odd:1").status == 0


# -- unverified layers never stand for verified ones --


def test_an_import_from_the_registry_takes_no_unverified_layer(
    subject: Subject, from_tars: Path, store: Path, repo: Path
) -> None:
    evil = store / "overlay" / subject.ids("odd")[0] / "diff/d/f"
    evil.write_text("evil\n")
    imported_storage(repo, store, "odd:1")
    found = imported(repo, subject.references["odd"])
    assert [layer["cached"] for layer in found["images"][0]["layers"]] == [False, False]
    for layer_id in subject.ids("odd"):
        assert rev_parse(repo, f"oci/layer/{layer_id}") == rev_parse(
            from_tars, f"oci/layer/{layer_id}"
        )


def test_a_layer_on_top_of_an_unverified_one_is_not_verified(
    subject: Subject, from_tars: Path, store: Path, repo: Path
) -> None:
    """What its whiteouts hide is decided by what is below."""
    base, top = subject.ids("odd")
    record = f"overlay-layers/{top}.tar-split.gz"
    shutil.copy(subject.podman.home / "root" / record, store / record)
    extra = store / "overlay" / base / "diff/d/not-in-the-tar"
    extra.touch()
    found = imported_storage(repo, store, "odd:1")["images"][0]["layers"]
    assert [layer["verified"] for layer in found] == [False, False]
    assert "/d/.ostree-wh.not-in-the-tar" in ls(repo, f"oci/layer/{top}")
    imported(repo, subject.references["odd"])
    assert rev_parse(repo, f"oci/layer/{top}") == rev_parse(from_tars, f"oci/layer/{top}")


def test_what_is_verified_already_is_not_replaced(
    subject: Subject, store: Path, repo: Path
) -> None:
    imported(repo, subject.references["odd"])
    before = [rev_parse(repo, f"oci/layer/{one}") for one in subject.ids("odd")]
    (store / "overlay" / subject.ids("odd")[0] / "diff/d/f").write_text("evil\n")
    outcome = run_storage(repo, "--json", store, "odd:1")
    assert [rev_parse(repo, f"oci/layer/{one}") for one in subject.ids("odd")] == before
    assert "unverified" not in outcome.stderr
    assert not any("verified" in layer for layer in outcome.document["images"][0]["layers"])


def test_what_is_unverified_is_read_again(
    subject: Subject, store: Path, upper: Path, repo: Path
) -> None:
    first = run_storage(repo, "--unchanged-exit-77", store, "odd:1")
    again = run_storage(repo, "--unchanged-exit-77", store, "odd:1")
    assert (first.status, again.status) == (0, 77)
    (upper / "d" / "more").touch()
    changed = run_storage(repo, "--unchanged-exit-77", store, "odd:1")
    assert changed.status == 0
    assert changed.stdout != again.stdout
    # And where the store has the records after all, the layers become verified.
    found = imported_storage(repo, subject.podman.home / "root", "odd:1")
    assert not any("verified" in layer for layer in found["images"][0]["layers"])


# -- without root --


def test_a_store_of_somebody_else_is_not_walked_without_root(
    subject: Subject, store: Path, unprivileged: Path
) -> None:
    """It could have xattrs that we do not see, and what they delete would be back."""
    run(["cp", "-a", store, unprivileged / "store"])
    run(["chmod", "-R", "a+rX", unprivileged / "store"])
    outcome = run_storage(unprivileged / "repo", unprivileged / "store", "odd:1", wrapper=NOBODY)
    assert outcome.status == 1
    assert "overlay xattrs are not visible" in outcome.said("error")[0]
    assert "podman unshare" in outcome.said("hint")[0]


def test_a_store_of_one_s_own_is_walked_without_root(
    subject: Subject, from_tars: Path, store: Path, upper: Path, unprivileged: Path
) -> None:
    """As rootless podman keeps it: owners, whiteouts and marks in user xattrs."""
    mark_whiteout(upper / "e", "user")
    (upper / "dev/null").unlink()
    os.removexattr(upper / "d", "trusted.overlay.opaque")
    os.setxattr(upper / "d", "user.overlay.opaque", b"y")
    for path in (upper / "d", upper / "d/sub", upper / "d/sub/new"):
        status = path.lstat()
        said = f"{status.st_uid}:{status.st_gid}:0{status.st_mode & 0o7777:o}"
        os.setxattr(path, "user.containers.override_stat", said.encode())
    for layer_id in subject.ids("odd"):
        for path in (store / "overlay" / layer_id / "diff").rglob("*"):
            if not path.is_symlink() and "user.containers.override_stat" not in os.listxattr(path):
                mode = path.lstat().st_mode & 0o7777
                os.setxattr(path, "user.containers.override_stat", f"0:0:0{mode:o}".encode())
    run(["cp", "-a", store, unprivileged / "store"])
    run(["chown", "-hR", "65534:65534", unprivileged / "store"])
    repo = unprivileged / "repo"
    found = run_storage(repo, unprivileged / "store", "odd:1", wrapper=NOBODY)
    assert found.status == 0, found.stderr
    base, top = subject.ids("odd")
    assert tree(repo, base) == tree(from_tars, base)
    # A symlink's owner cannot be said in a user xattr, and needs no saying: it has no effect.
    ours, theirs = (
        ostree(one, "ls", "-R", "-X", f"oci/layer/{top}").splitlines() for one in (repo, from_tars)
    )
    different = [line for line in ours if line not in theirs]
    assert [line.partition("/")[2] for line in different] == ["d/link -> sub/new"]
