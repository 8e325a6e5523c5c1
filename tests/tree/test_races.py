"""Somebody who may write to the tree renames without pause, while root translates it.

Each test goes on until so many exchanges have been made; `make fuzz` makes more.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files import beneath
from importer.files.beneath import Beneath
from importer.files.foreign import ForeignDirectory
from importer.tree.changes import make, undo
from importer.tree.journal import opened_journal
from layers.ondisk.change import Fill, Node, Quote, Remove
from layers.ondisk.journal import Journal
from tests.tools.swapper import Swapper

pytestmark = pytest.mark.root

SWAPS = pytest.mark.parametrize(
    "swaps", [300, pytest.param(10_000, marks=pytest.mark.fuzz)], ids=["few", "many"]
)
SOMEBODY = 1000
SECRET = b"root's own"
_DONE = 20


def amid(one: Path, other: Path, swaps: int, work: Callable[[], None]) -> None:
    """Call `work` until the two paths were exchanged so often, and it was not always refused."""
    done = 0
    with Swapper(one, other) as swapper:
        while swapper.count < swaps or done < _DONE:
            with suppress(ImporterError, OSError):
                work()
                done += 1


@SWAPS
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFREG])
def test_an_exchanged_node_gets_no_owner(tmp_path: Path, swaps: int, kind: int) -> None:
    """The directory's owner may rename root's file there to the name that is made anew."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    watched = os.open(secret, os.O_RDONLY)
    change = Remove((), b"gone", Node(kind | 0o644, SOMEBODY, SOMEBODY, 0, 1))
    descriptor = os.open(tmp_path, os.O_RDONLY)

    def restore() -> None:
        (tmp_path / "gone").unlink(missing_ok=True)
        undo(change, descriptor, descriptor)

    amid(secret, tmp_path / ".import-tree-undo", swaps, restore)
    found = os.fstat(watched)
    os.close(descriptor)
    os.close(watched)
    assert (found.st_uid, stat.S_IMODE(found.st_mode), found.st_size) == (0, 0o600, len(SECRET))


@SWAPS
@pytest.mark.parametrize("work", [make, undo])
def test_an_exchanged_file_is_not_written_to(
    tmp_path: Path, swaps: int, work: Callable[[Fill, int, int], None]
) -> None:
    """Root's own file comes in the place of one whose data is in a lower layer."""
    for name in ("file", "data", "secret"):
        (tmp_path / name).write_bytes(SECRET if name == "secret" else b"data" * 3)
        os.utime(tmp_path / name, ns=(7, 7))
    mark = "trusted.overlay.metacopy"
    os.setxattr(tmp_path / "file", mark, b"")
    inode = (tmp_path / "file").stat().st_ino
    watched = os.open(tmp_path / "secret", os.O_RDONLY)
    change = Fill((), b"file", (b"data",), inode, 7, ((mark.encode(), b""),))
    descriptor = os.open(tmp_path, os.O_RDONLY)
    amid(
        tmp_path / "file",
        tmp_path / "secret",
        swaps,
        lambda: work(change, descriptor, descriptor),
    )
    assert os.pread(watched, 20, 0) == SECRET
    assert os.listxattr(watched) == []
    os.close(descriptor)
    os.close(watched)


@SWAPS
def test_an_exchanged_directory_leads_nowhere(tmp_path: Path, swaps: int) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    (outside / "d").mkdir(parents=True)
    (tree / "a/d").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    root = os.open(tree, os.O_RDONLY)
    made = 0

    def quote() -> None:
        nonlocal made
        with Beneath(root) as directories:
            directory = directories.directory((b"a", b"d"))
            make(Quote((b"a", b"d"), b".ostree-wh.x"), directory, root)
            made += 1

    amid(tree / "a", tree / "link", swaps, quote)
    os.close(root)
    assert made
    assert list((outside / "d").iterdir()) == []


@SWAPS
@pytest.mark.parametrize("other", ["symlink", "fifo"])
def test_an_exchanged_file_gives_nothing_out(tmp_path: Path, swaps: int, other: str) -> None:
    outside, tree = tmp_path / "secret", tmp_path / "tree"
    outside.write_bytes(SECRET)
    (tree / "a").mkdir(parents=True)
    (tree / "a/file").write_bytes(b"own")
    if other == "symlink":
        (tree / "a/other").symlink_to(outside)
    else:
        os.mkfifo(tree / "a/other")
    root, directory = os.open(tree, os.O_RDONLY), os.open(tree / "a", os.O_RDONLY)
    read = set()

    def read_both() -> None:
        for at, path in ((directory, b"file"), (root, b"a/file")):
            descriptor = beneath.open_file(at, path)
            read.add(content := os.read(descriptor, 20))
            os.close(descriptor)
            if not content:
                raise OSError("the fifo was opened, which does not count")

    amid(tree / "a/file", tree / "a/other", swaps, read_both)
    os.close(root)
    os.close(directory)
    assert b"own" in read
    assert SECRET not in read


@SWAPS
def test_an_exchanged_journal_is_not_believed(tmp_path: Path, swaps: int) -> None:
    """The owner of a directory further up plants a whole directory with a journal."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, whiteout in (("mine", b".ostree-wh.mine"), ("planted", b".ostree-wh.planted")):
        (tmp_path / name).mkdir()
        changes = (Quote((), whiteout),)
        (tmp_path / name / "journal").write_bytes(b"".join(Journal(changes).lines(b"")))
    os.chown(tmp_path / "planted", SOMEBODY, SOMEBODY)
    os.chown(tmp_path / "planted/journal", SOMEBODY, SOMEBODY)
    root = ForeignDirectory.named(tree)
    seen = set()

    def load() -> None:
        with opened_journal(tmp_path / "mine/journal", root) as file:
            seen.add(file.journal.changes)

    amid(tmp_path / "mine", tmp_path / "planted", swaps, load)
    root.close()
    assert seen == {(Quote((), b".ostree-wh.mine"),)}
