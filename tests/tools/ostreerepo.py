"""The `ostree` command, as a judge of what we wrote."""

import re
from pathlib import Path
from typing import Literal

from tests.tools.httpserver import http_server
from tests.tools.process import Argument, run

Mode = Literal["bare", "bare-user", "bare-user-only", "archive"]
_UNNAMED = re.compile(r"(^|/)tmp\.[0-9A-Za-z]{6}$")


def ostree(repo: Path, command: str, *arguments: Argument) -> str:
    """Runs `ostree COMMAND --repo=REPO ...` and returns its output."""
    return run(["ostree", command, f"--repo={repo}", *arguments])


def init(path: Path, mode: Mode = "bare-user") -> Path:
    """Makes an empty repository."""
    path.mkdir(parents=True, exist_ok=True)
    ostree(path, "init", f"--mode={mode}")
    return path


def commit(repo: Path, ref: str, tree: Path) -> str:
    """Commits a directory with owners, modes and xattrs as they are; returns the checksum."""
    stamp = "--timestamp=2024-05-06T07:08:09Z"
    return ostree(repo, "commit", f"--branch={ref}", stamp, f"--tree=dir={tree}").strip()


def checkout(
    repo: Path, ref: str, dest: Path, passthrough_whiteouts: bool = True, copy: bool = False
) -> Path:
    """Checks out as root, with owners, modes and xattrs; `.ostree-wh.x` become devices.

    No `-U`: with it the checkout belongs to the caller and has no xattrs. Without it a bare
    repository's files are hard links to its objects (`copy`: they are not), while from a
    bare-user repository every file is a copy with the owner, mode and xattrs the commit names.
    """
    flags = ["--process-passthrough-whiteouts"] if passthrough_whiteouts else []
    flags += ["--force-copy"] if copy else []
    ostree(repo, "checkout", *flags, ref, dest)
    return dest


def refs(repo: Path) -> list[str]:
    """All refs, in order."""
    return sorted(ostree(repo, "refs").split())


def heads(repo: Path) -> dict[str, str]:
    """All refs and their commits, but for what a killed process left of libostree's.

    libostree writes a ref's file under a name of its own and then renames it (libglnx,
    glnx_link_tmpfile_at). Killed between the two, the file stays: to all tools a ref, of a commit
    that is there.
    """
    found = [ref for ref in refs(repo) if not _UNNAMED.search(ref)]
    commits = ostree(repo, "rev-parse", *found).split() if found else []
    return dict(zip(found, commits, strict=True))


def rev_parse(repo: Path, ref: str) -> str:
    """The checksum of the commit that a ref names."""
    return ostree(repo, "rev-parse", ref).strip()


def fsck(repo: Path) -> None:
    """Verifies every object; raises with the output."""
    ostree(repo, "fsck", "--quiet")


def ls(repo: Path, ref: str, path: str = "/") -> list[str]:
    """The paths of a commit below `path`, without the `path` itself."""
    listed = ostree(repo, "ls", "--recursive", "--nul-filenames-only", ref, path)
    return sorted(name for name in listed.split("\0") if name not in ("", path))


def pull_http(source: Path, dest: Path, *names: str) -> None:
    """Serves `source` (mode archive: nothing else goes over HTTP) and pulls refs from it.

    They become refs of `dest` without a remote's name, as with `pull-local`.
    """
    with http_server(source) as url:
        flags = ["--no-gpg-verify", "--no-sign-verify", "--force"]
        run(["ostree", "remote", "add", f"--repo={dest}", *flags, "tests", url])
        ostree(dest, "pull", "--disable-fsync", "--mirror", "tests", *names)
        run(["ostree", "remote", "delete", f"--repo={dest}", "tests"])
