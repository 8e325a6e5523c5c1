"""The result of `import-tree`, for standard output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.tree.entries import WhiteoutForm
from layers.errors import printable
from layers.frozen import frozen
from layers.path import joined
from layers.words import first_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.progress import Progress
    from importer.tree.scanned import ScannedTree
    from layers.ondisk.close_layers import Closing
    from layers.path import Path

_LEFT_OUT = (WhiteoutForm.DEVICE, WhiteoutForm.FIFO, WhiteoutForm.SOCKET, WhiteoutForm.BACKING)


@dataclass(slots=True)
class TreeCounts:
    """Counts of the trees' files, directories, whiteouts, opaque directories and left-out entries.

    `expanded` opaque directories became whiteouts.
    """

    files: int = 0
    cached: int = 0
    read: int = 0
    read_bytes: int = 0
    directories: int = 0
    whiteouts: int = 0
    dropped_whiteouts: int = 0
    expanded: int = 0
    opaque: list[Path] = field(default_factory=list)
    left_out: dict[WhiteoutForm, int] = field(default_factory=dict)

    def add(self, scanned: ScannedTree, closing: Closing) -> None:
        """Add a tree's counts but for those of files, which `FileStore` counts."""
        self.directories += len(scanned.directories)
        self.dropped_whiteouts += closing.dropped
        self.expanded += closing.expanded
        self.opaque += scanned.opaque
        for mark in scanned.marks:
            if mark.form in _LEFT_OUT:
                self.left_out[mark.form] = self.left_out.get(mark.form, 0) + 1

    def tell(self, progress: Progress) -> None:
        """Report opaque directories with unknown lower layers, and entries left out."""
        if self.opaque:
            progress.message(_opaque(self.opaque))
        for form, count in self.left_out.items():
            progress.message(f"left out: {count} {form.value}{'s' if count > 1 else ''}")

    def files_document(self) -> dict[str, object]:
        """Return the fields of the JSON document for files."""
        return {
            "files": self.files,  # number of names of files and symlinks in the trees
            # number of files that were not read, since they have not changed since the last commit
            "cached": self.cached,
            # number of files and symlinks that were read; hard links of one file count once
            "read": self.read,
            "read_bytes": self.read_bytes,  # their bytes
        }

    def document(self) -> dict[str, object]:
        """Return the other fields of the JSON document."""
        return {
            "directories": self.directories,  # number of directories
            "whiteouts": self.whiteouts,  # number of quoted whiteouts in the commit
            # number of whiteouts of layers that hid nothing
            "dropped_whiteouts": self.dropped_whiteouts,
            # number of opaque directories of layers that became whiteouts
            "opaque_expanded": self.expanded,
            # number of opaque directories that kept their xattr, since their lower layers are not
            # in the tree
            "opaque_kept": len(self.opaque),
            # left_out_keys: numbers of entries that ostree cannot store, by kind
            "left_out": left_out_keys(self.left_out),
        }


def left_out_keys(counts: Mapping[WhiteoutForm, int]) -> dict[str, object]:
    return {
        "devices": counts.get(WhiteoutForm.DEVICE, 0),  # number of device nodes
        "fifos": counts.get(WhiteoutForm.FIFO, 0),  # number of fifos
        "sockets": counts.get(WhiteoutForm.SOCKET, 0),  # number of sockets
        # number of `backingFsBlockDev` nodes, which Docker and podman make in their stores
        "backing_devices": counts.get(WhiteoutForm.BACKING, 0),
    }


def _opaque(paths: Sequence[Path]) -> str:
    shown = first_of([printable(joined(path)) for path in sorted(paths)])
    return (
        f"opaque, with lower layers that are not in the tree: {shown}; kept as an xattr, which"
        " ostree deploys, and rpm-ostree and osbuild drop"
    )


@frozen
class TreeResult:
    """The commit on its branch. `contents` and `meta` are its root's dirtree and dirmeta."""

    branch: str
    commit: str
    unchanged: bool
    contents: str
    meta: str
    counts: TreeCounts

    def lines(self) -> list[str]:
        return [self.commit]

    def document(self) -> dict[str, object]:
        return {
            "commit": self.commit,  # the commit's checksum
            "branch": self.branch,  # the branch that has it
            "unchanged": self.unchanged,  # whether the branch had this commit already
            # the checksum of the root's contents, as `ostree ls -d -C` shows it
            "dirtree": self.contents,
            "dirmeta": self.meta,  # the checksum of the root's owner, mode and xattrs
            **self.counts.files_document(),  # files_document
            **self.counts.document(),  # TreeCounts
        }
