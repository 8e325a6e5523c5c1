"""A small operating system for ostree: what `ostree admin deploy` asks of a tree, and no more."""

from collections.abc import Mapping
from pathlib import Path

from tests.tools.ostreerepo import ostree

#: ostree's documentation, "Adapting existing mainstream distributions": the top level.
FOLDERS = ("boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "usr/bin", "usr/lib", "var")
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "ostree": "sysroot/ostree", "home": "var/home"}
KERNEL = "6.1.0-test"
STAMP = "--timestamp=2024-01-02T03:04:05Z"


def os_tree(root: Path, files: Mapping[str, str] | None = None, version: str = "1") -> Path:
    """The tree as a directory, `files` in it besides."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    modules = f"usr/lib/modules/{KERNEL}"
    texts = {
        "usr/lib/os-release": f"ID=test\nVERSION_ID={version}\nPRETTY_NAME=Test {version}\n",
        "usr/etc/hosts": "127.0.0.1 localhost\n",
        f"{modules}/vmlinuz": "a kernel\n",
        f"{modules}/initramfs.img": "an initramfs\n",
        **(files or {}),
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def commit_os(
    repo: Path, branch: str, root: Path, *flags: str, version: str = "1", stamp: str = STAMP
) -> str:
    """Commits the tree as a bootable OS of this version; its checksum."""
    metadata = (f"--add-metadata-string=version={version}", "--bootable")
    tree = ("--owner-uid=0", "--owner-gid=0", f"--tree=dir={root}")
    return ostree(repo, "commit", f"--branch={branch}", stamp, *metadata, *flags, *tree).strip()


def metadata(repo: Path, commit: str) -> dict[str, str]:
    """The commit's metadata as `ostree show` prints the values."""
    listed = ostree(repo, "show", "--list-metadata-keys", commit).split()
    return {key: ostree(repo, "show", f"--print-metadata-key={key}", commit) for key in listed}
