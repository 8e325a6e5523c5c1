"""The job of `import-tree`: directories to commit, and options, two of which are files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.replacement import read_file
from importer.ingest.budget import processors
from layers.errors import LayerError
from layers.limits import CALL_LIMITS
from layers.ondisk.commit_filter import (
    CommitOptions,
    StatOverride,
    parse_skip_list,
    parse_statoverride,
)
from layers.tree.builder import DeviceNodes

if TYPE_CHECKING:
    from pathlib import Path

    from importer.commit.target import GpgKey, KeyFile

# A line for each file of a large operating system is far less.
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeJob:
    """A commit of the directories `roots`, a later one over the earlier ones, on `branch`.

    `onto` is the branch of an operating system that the trees are put into, at `prefix`, an
    absolute path. `selinux_policy` is a root directory with a policy; `policy_from_base` takes
    the one of `onto`, or of the first root. `timestamp` is in seconds since 1970, None for now.
    `jobs` is how many files are read at once, `max_size` how many bytes in all.
    """

    repo: Path
    branch: str
    roots: tuple[Path, ...]
    onto: str | None = None
    prefix: str = "/"
    options: CommitOptions = field(default_factory=CommitOptions)
    device_nodes: DeviceNodes = DeviceNodes.AUTO
    keep_opaque: bool = True
    selinux_policy: Path | None = None
    policy_from_base: bool = False
    subject: str = ""
    timestamp: int | None = None
    signing: tuple[GpgKey | KeyFile, ...] = ()
    jobs: int = field(default_factory=processors)
    cache: bool = True
    max_size: int = CALL_LIMITS.size


def read_statoverride(path: Path | None) -> StatOverride:
    """Read the file. Raise ImporterError if it cannot be read, or a line is malformed."""
    if path is None:
        return StatOverride()
    try:
        return parse_statoverride(read_file(path, _LIMIT))
    except LayerError as error:
        raise ImporterError(
            f"{path}: {error}", hint="it has lines as for `ostree commit --statoverride`"
        ) from None


def read_skip_list(path: Path | None) -> frozenset[bytes]:
    """Read the file. Raise ImporterError if it cannot be read."""
    return parse_skip_list(read_file(path, _LIMIT)) if path is not None else frozenset()
