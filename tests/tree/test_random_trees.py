"""Random trees and options: the commit is the one that `ostree commit` makes, by its checksum."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.ostreerepo import Mode, init, ostree
from tests.tools.treecommit import CAPABILITY, imported_tree

pytestmark = pytest.mark.root

MODES: tuple[Mode, ...] = ("bare", "bare-user", "bare-user-only", "archive")
NAMES = ("a", "b", ".wh.c", "äöü", "with blank", "new\nline", "-x", "x" * 200, "l")
# POSIX ACL of version 2: acl(5), include/uapi/linux/posix_acl_xattr.h; a user's entry and a mask.
_NONE = 2**32 - 1
_ENTRIES = ((1, 7, _NONE), (2, 5, 1000), (4, 5, _NONE), (16, 5, _NONE), (32, 4, _NONE))
ACL = (2).to_bytes(4, "little") + b"".join(
    tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
    for tag, bits, who in _ENTRIES
)
XATTRS = {
    "user.a": b"1", "user.empty": b"", "user.bytes": b"\0\n\xff", "trusted.t": b"t",
    "security.capability": CAPABILITY, "system.posix_acl_access": ACL,
    "trusted.overlay.origin": b"\0\xfb", "user.overlay.impure": b"y",
}  # fmt: skip
SIZES = (0, 0, 1, 5, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1)


class RandomTree:
    """A tree at `root`, with all that a commit can hold."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.paths: list[Path] = []
        self._files: list[Path] = []
        self._fill(root, 0)

    def _fill(self, directory: Path, depth: int) -> None:
        directory.mkdir()
        for name in self.chance.sample(NAMES, self.chance.randrange(len(NAMES))):
            path = directory / name
            kinds: list[Callable[[Path, int], None]] = [self._file, self._link, self._hard_link]
            self.chance.choice(kinds + [self._fill] * (depth < 4))(path, depth + 1)
            self.paths.append(path)
        self._dress(directory)

    def _file(self, path: Path, _: int) -> None:
        with path.open("wb") as file:
            file.write(self.chance.randbytes(self.chance.choice(SIZES)))
            if self.chance.random() < 0.1:
                file.truncate(3 << 20)  # the end is a hole
        self._dress(path)
        self._files.append(path)

    def _link(self, path: Path, _: int) -> None:
        path.symlink_to(self.chance.choice(["a", "../b", "/no/where", "é", "x/" * 150]))
        os.lchown(path, self.chance.randrange(3), self.chance.randrange(3))

    def _hard_link(self, path: Path, depth: int) -> None:
        if self._files:
            os.link(self.chance.choice(self._files), path)
        else:
            self._file(path, depth)

    def _dress(self, path: Path) -> None:
        os.chown(path, self.chance.randrange(3), self.chance.randrange(3))
        path.chmod(self.chance.choice((0o644, 0o600, 0o755, 0o4711, 0o2775, 0o1777, 0o444, 0)))
        for name in self.chance.sample(sorted(XATTRS), self.chance.choice((0, 0, 1, 3))):
            if name != "security.capability" or path.is_file():
                os.setxattr(path, name, XATTRS[name])


def options(tree: RandomTree, root: Path, where: Path) -> list[str]:
    """Options of both programs that change files."""
    chance, found = tree.chance, []
    if chance.random() < 0.3:
        found += [f"--owner-uid={chance.randrange(5)}"]
    if chance.random() < 0.3:
        found += [f"--owner-gid={chance.randrange(5)}"]
    if chance.random() < 0.2:
        found += ["--no-xattrs"]
    if chance.random() < 0.2 and not any("=0" not in one for one in found if "owner" in one):
        found += ["--canonical-permissions"]
    plain = [path for path in tree.paths if "\n" not in path.name and path.is_file()]
    plain = [path for path in plain if not path.is_symlink() and "\n" not in str(path)]
    if plain and chance.random() < 0.3:
        skipped, *others = chance.sample(plain, min(3, len(plain)))
        (where / "skip").write_text(f"/{skipped.relative_to(root)}\n")
        lines = [f"{chance.choice(('', '='))}{0o2711} /{one.relative_to(root)}" for one in others]
        (where / "override").write_text("\n".join(lines))
        found += [f"--skip-list={where}/skip", f"--statoverride={where}/override"]
    return found


def check(repo: Path, where: Path, seed: int) -> None:
    """Commit the tree of the seed by both programs."""
    where.mkdir()
    tree = RandomTree(where / "root", seed)
    given = [*options(tree, where / "root", where), "--timestamp=@7"]
    theirs = ostree(
        repo, "commit", f"--branch=theirs/{seed}", "--subject=s", "--no-bindings", *given,
        f"--tree=dir={where}/root",
    ).strip()  # fmt: skip
    document = imported_tree(repo, "--subject=s", *given, where / "root", branch=f"ours/{seed}")
    assert document["commit"] == theirs, f"seed {seed}, {given}"


@pytest.mark.parametrize("mode", MODES)
def test_random_trees_have_ostree_s_checksums(tmp_path: Path, mode: Mode) -> None:
    repo = init(tmp_path / "repo", mode)
    for seed in range(8):
        check(repo, tmp_path / str(seed), seed * len(MODES) + MODES.index(mode))


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", MODES)
def test_hundreds_of_random_trees(tmp_path: Path, mode: Mode) -> None:
    repo = init(tmp_path / "repo", mode)
    for seed in range(1000, 1100):
        check(repo, tmp_path / str(seed), seed * len(MODES) + MODES.index(mode))
