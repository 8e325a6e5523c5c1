"""`import-tree` run as users run it, and `ostree commit` of the same directories as its judge."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.tools.importimage import Outcome, run_import
from tests.tools.ostreerepo import ostree
from tests.tools.process import Argument

BRANCH = "os/tree"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def run_tree(
    repo: Path,
    *arguments: Argument,
    branch: str = BRANCH,
    config: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Runs `import-tree --repo=REPO --branch=BRANCH ARGUMENTS...` to its end."""
    argv = [f"--branch={branch}", *arguments]
    return run_import(repo, *argv, command="import-tree", config=config)


def imported_tree(repo: Path, *arguments: Argument, branch: str = BRANCH) -> dict[str, object]:
    """The JSON document of a run that has to succeed."""
    outcome = run_tree(repo, "--json", *arguments, branch=branch)
    assert outcome.status == 0, outcome.stderr
    return outcome.document


def objects(repo: Path, ref: str = BRANCH) -> str:
    """The checksums of a commit's root: its dirtree and its dirmeta."""
    columns = ostree(repo, "ls", "-d", "-C", ref, "/").split()
    return " ".join(columns[4:6])


def ostree_commit(repo: Path, *arguments: Argument, branch: str = "theirs") -> str:
    """Commits with `ostree commit`; the checksums of the root."""
    ostree(repo, "commit", f"--branch={branch}", *arguments)
    return objects(repo, branch)


def plain_tree(root: Path) -> Path:
    """A tree without whiteouts, with all else that a commit can hold."""
    for name in ("dir/sub/deep", "empty", "usr/bin", "äöü"):
        (root / name).mkdir(parents=True)
    files = {"a": b"a\n", "dir/b": b"", "dir/sub/large": os.urandom(3 << 20), "usr/bin/su": b"#!"}
    for name, content in files.items():
        (root / name).write_bytes(content)
    os.link(root / "a", root / "dir/hardlink")
    (root / "dir/link").symlink_to("../a")
    (root / "dangling").symlink_to("no/where/é")
    (root / "äöü/b").write_text("umlaut")
    os.chown(root / "dir/b", 1000, 1001)
    os.chown(root / "dir", 5, 6)
    os.lchown(root / "dir/link", 7, 8)
    (root / "usr/bin/su").chmod(0o4755)
    (root / "dir").chmod(0o2751)
    (root / "empty").chmod(0o1777)
    os.setxattr(root / "usr/bin/su", "security.capability", CAPABILITY)
    os.setxattr(root / "a", "user.z", b"\x00\xff")
    os.setxattr(root / "a", "user.b", b"b")
    os.setxattr(root / "dir/b", "user.empty", b"")
    os.setxattr(root / "dir/sub", "user.dir", b"d")
    os.setxattr(root / "dir/link", "trusted.link", b"l", follow_symlinks=False)
    return root


def age(root: Path) -> None:
    """Waits until the kernel's clock is past the moment that the cache does not trust.

    ctime cannot be set, so files that were just made have to become old.
    """
    import time

    newest = max(os.lstat(path).st_ctime for path in [root, *root.rglob("*")])
    while time.time() - newest < 2.1:
        time.sleep(0.1)
