"""Commits and directories that were made to be traps for whoever looks at them."""

import json
import os
from pathlib import Path

import pytest

from importer.repo.reachable import check_breadth
from importer.repo.values import RepoDirectory
from importer.repo.writer import Repo
from layers.entry import Owner
from layers.ostree.objects import Stored, dirtree
from layers.tree.lower import EntryCount
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import ostree
from tests.tools.storecommand import Outcome, answered, image_store
from tests.tools.tarbuild import Entry

OWNER = Owner(0o755, 0, 0)
STORE = ("usr", "lib", "containers", "storage", "overlay")


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a", content=b"a\n")]])


@pytest.fixture
def filled(repo: Path, image: BuiltImage) -> Path:
    imported(repo, "--branch=os/images", f"oci:{image.directory}:t")
    return repo


# -- a commit of a few kilobytes with 2^40 paths --


def overlay_of(repo: Repo) -> RepoDirectory:
    overlay = repo.root(repo.head("os/images")).find("/".join(STORE))
    assert overlay is not None
    return overlay


def diff_of(filled: Path) -> tuple[str, ...]:
    """The path of the only layer's tree."""
    (layer,) = [one.decode() for one in overlay_of(Repo.open(filled)).directories if one != b"l"]
    return (*STORE, layer, "diff")


def trapped(filled: Path, depth: int, *where: str) -> Path:
    """Puts a directory at a path of the branch: of so many directories, each twice in the next."""
    repo = Repo.open(filled)
    head = repo.head("os/images")
    with repo.transaction():
        inner = repo.tree(OWNER)
        inner.file("f", repo.write_file(OWNER, b"f"))
        trap = repo.directory(*inner.write())
        for _ in range(depth):
            outer = repo.tree(OWNER)
            outer.graft("a", trap)
            outer.graft("b", trap)
            trap = repo.directory(*outer.write())
        root = above = repo.tree_of(head)
        for name in where[:-1]:
            above = above.enter(name) or above.directory(name, OWNER)
        if above.enter(where[-1]) is not None:
            above.remove(where[-1])
        above.graft(where[-1], trap)
        root.write()
    with repo.transaction():
        repo.set_ref("os/images", repo.write_commit(root, head.message))
    return filled


@pytest.fixture
def endless(filled: Path) -> Path:
    """A branch whose only layer has forty directories, each twice in the next."""
    return trapped(filled, 40, *diff_of(filled))


@pytest.mark.parametrize("where", [("usr", "share", "x"), (*STORE[:-1], "overlay-images", "x")])
def test_embed_visits_no_trap_beside_the_layers(
    filled: Path, image: BuiltImage, tmp_path: Path, where: tuple[str, ...]
) -> None:
    trapped(filled, 40, *where)
    base = build_oci(tmp_path / "base", "os", [[Entry(b"usr", "dir")]])
    flags = (f"--base=oci:{base.directory}:os", f"--to=oci:{tmp_path}/out:t")
    outcome = image_store(filled, "embed", "os/images", *flags)
    assert outcome.status == 1
    assert "1000 directories beside" in outcome.stderr or "made of 43 directories" in outcome.stderr
    assert not (tmp_path / "out/index.json").exists()


@pytest.mark.parametrize("command", ["show", "report"])
def test_three_million_paths_are_too_many(
    filled: Path, image: BuiltImage, tmp_path: Path, command: str
) -> None:
    trapped(filled, 20, *diff_of(filled))
    arguments = (image.image_id,) if command == "show" else ("os/images", "-o", "-")
    outcome = image_store(filled, command, *arguments)
    assert outcome.status == 1
    assert "has 3145726 paths, made of 21 directories" in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("show", "IMAGE"),
        ("report", "os/images", "-o", "-"),
        ("export", "IMAGE", "oci:out"),
    ],
    ids=lambda command: command[0],
)
def test_a_commit_that_repeats_itself_is_refused_at_once(
    endless: Path, image: BuiltImage, tmp_path: Path, command: tuple[str, ...]
) -> None:
    arguments = [
        one.replace("IMAGE", image.image_id).replace("oci:out", f"oci:{tmp_path}/out")
        for one in command[1:]
    ]
    outcome = image_store(endless, command[0], *arguments)
    assert outcome.status == 1, outcome
    assert "paths, made of 41 directories" in outcome.stdout + outcome.stderr


def test_paths_are_counted_without_a_visit_to_each(endless: Path) -> None:
    repo = Repo.open(endless)
    count = EntryCount(whiteouts=True)
    count.of(overlay_of(repo))
    # Of k levels: c(k) = 2 + 2 c(k - 1), c(0) = 1, which is 3 * 2^k - 2.
    assert 3 * 2**40 - 2 in count.below.values()


def test_prune_goes_by_objects(endless: Path) -> None:
    assert image_store(endless, "prune").status == 0


# -- a directory to export to --


def exported(repo: Path, image: BuiltImage, to: Path) -> Outcome:
    return image_store(repo, "export", image.image_id, f"oci:{to}:t")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory that somebody else prepared."""
    where = tmp_path / "target"
    where.mkdir()
    (where / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return where


@pytest.mark.parametrize("name", [".index.json.partial", ".oci-layout.partial", "index.json"])
def test_no_symlink_of_the_directory_is_written_through(
    filled: Path, image: BuiltImage, target: Path, tmp_path: Path, name: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text('{"manifests":[]}')
    (target / name).symlink_to(precious)
    if name == ".oci-layout.partial":
        (target / "oci-layout").unlink()
        (target / "index.json").write_text('{"manifests":[]}')
    exported(filled, image, target)
    assert precious.read_text() == '{"manifests":[]}'


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_no_symlink_in_place_of_a_directory_is_followed(
    filled: Path, image: BuiltImage, target: Path, tmp_path: Path, name: str
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).symlink_to(others)
    outcome = exported(filled, image, target)
    assert (outcome.status, f"writing {target}/blobs" in outcome.stderr) == (1, True)
    assert list(others.iterdir()) == []


@pytest.mark.parametrize("other", ["content", "a terabyte", "a directory", "a symlink", "a fifo"])
def test_a_blob_of_the_right_name_and_another_content_is_not_kept(
    filled: Path, image: BuiltImage, target: Path, tmp_path: Path, other: str
) -> None:
    blob = target / "blobs" / "sha256" / image.diff_ids[0].removeprefix("sha256:")
    blob.parent.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    if other == "content":
        blob.write_text("another")
    elif other == "a terabyte":
        with blob.open("wb") as file:
            file.truncate(1 << 40)
    elif other == "a symlink":
        blob.symlink_to(precious)
    elif other == "a fifo":
        os.mkfifo(blob)
    else:
        blob.mkdir()
    outcome = exported(filled, image, target)
    assert precious.read_text() == "precious"
    if other == "a directory":
        assert outcome.status == 1
        assert "Is a directory" in outcome.stderr
        return
    assert outcome.status == 0, outcome.stderr
    tar = blob.read_bytes()
    assert blob.is_file()
    assert not blob.is_symlink()
    assert tar.startswith(b"a\0")


def test_no_symlink_of_an_image_directory_is_written_through(
    filled: Path, image: BuiltImage, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("Directory Transport Version: 1.1\n")
    layer = image.diff_ids[0].removeprefix("sha256:")
    for part in ("version", "manifest.json", "signature-1", image.image_id, layer):
        target = tmp_path / f"dir-{part}"
        target.mkdir()
        if part != "version":
            (target / "version").write_text(precious.read_text())
        (target / part).symlink_to(precious)
        outcome = image_store(filled, "export", image.image_id, f"dir:{target}")
        assert outcome.status == (1 if part == "version" else 0), outcome.stderr
        assert precious.read_text() == "Directory Transport Version: 1.1\n"
        assert (target / part).is_symlink() is (part == "version")


@pytest.mark.parametrize(
    "index",
    ['{"manifests":[5]}', '{"manifests":5}', "[]", "{", '{"manifests":[{"annotations":7}]}',
     '{"manifests":[{"annotations":{"x":1}},null]}', '{"manifests":1,"manifests":2}', '"\\ud800"'],
)  # fmt: skip
def test_an_index_that_is_none_is_an_error(
    filled: Path, image: BuiltImage, target: Path, index: str
) -> None:
    (target / "index.json").write_text(index)
    outcome = exported(filled, image, target)
    assert outcome.status == 1
    assert "is not an index of images" in outcome.stderr
    assert (target / "index.json").read_text() == index


def test_an_index_without_end_is_not_read(filled: Path, image: BuiltImage, target: Path) -> None:
    with (target / "index.json").open("wb") as file:
        file.truncate(1 << 40)
    assert exported(filled, image, target).status == 1


def test_other_images_of_the_directory_stay(filled: Path, image: BuiltImage, target: Path) -> None:
    other = {"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 1}
    (target / "index.json").write_text(json.dumps({"manifests": [other]}))
    assert exported(filled, image, target).status == 0
    assert json.loads((target / "index.json").read_text())["manifests"][0] == other
    assert answered(filled, "export", image.image_id, f"oci:{target}:t")
    assert ostree(filled, "fsck") is not None


# -- a tree that has many paths by itself --


def test_many_files_of_their_own_are_no_trap(filled: Path) -> None:
    """Two million files, of few directories: 18 copies of three with 40,000 files each."""
    repo = Repo.open(filled)
    with repo.transaction():
        file, meta = repo.write_file(OWNER, b"f"), repo.write_dirmeta(OWNER)
        copies: dict[bytes, Stored] = {}
        for number in range(3):
            files = {b"%d-%05d" % (number, name): file for name in range(40_000)}
            library = Stored(repo.write_meta("dirtree", dirtree(files, {})), meta)
            copies |= {b"%d-%02d" % (number, copy): library for copy in range(18)}
        made = repo.directory(repo.write_meta("dirtree", dirtree({}, copies)), meta)
    assert EntryCount(whiteouts=True).of(made) == 3 * 18 * 40_001
    check_breadth(made, "it")
