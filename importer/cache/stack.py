"""Merge a stack of layers into a tree, without the files that a layer deletes."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from importer.repo.values import RepoDirectory
from layers.errors import within
from layers.ostree.bounds import check_directory
from layers.tree.lower import Lower
from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from importer.repo.tree import Tree
    from importer.repo.writer import Repo
    from layers.tree.lower import TreeDirectory


def stacked(repo: Repo, layer_ids: Iterable[str]) -> Lower:
    """Return the merged view of the layers of these ids, nearest first."""
    return Lower.of([repo.root(repo.head(layer_branch(layer_id))) for layer_id in layer_ids])


class Stacks:
    """Merged stacks of layers, by the ids of their top layers.

    A stack is made from the one below it. Only the last few are kept, since an image's layers come
    one after the other.
    """

    _KEPT = 8

    def __init__(self) -> None:
        self._tops: dict[str, Lower] = {}

    def below(
        self, repo: Repo, layer_ids: Sequence[str], made: Mapping[str, RepoDirectory]
    ) -> Lower | None:
        """Return the merged view of the layers of these ids, nearest first; None for no layers.

        `made` has the roots of layers that are not committed yet, by layer id.
        """
        new = list(takewhile(lambda layer_id: layer_id not in self._tops, layer_ids))
        lower = self._tops[layer_ids[len(new)]] if len(new) < len(layer_ids) else None
        for layer_id in reversed(new):
            root = made.get(layer_id) or repo.root(repo.head(layer_branch(layer_id)))
            lower = Lower(root, lower)
        if lower is not None:
            self._tops.pop(layer_ids[0], None)  # moves the entry to the end
            self._tops[layer_ids[0]] = lower
            for oldest in list(self._tops)[: -self._KEPT]:
                del self._tops[oldest]
        return lower


def fill(tree: Tree, lower: Lower | None, at: bytes = b"") -> None:
    """Add all visible files to the tree. A directory of a single layer is grafted unread.

    Raise LayerError, with the path, for a directory that is too large for ostree. `at` is the path
    of `tree`.
    """
    work = [(tree, lower, at)] if lower is not None else []
    while work:
        into, directory, path = work.pop()
        with within(path=path):
            check_directory(directory.leaves, directory.directories)
        for name, checksum in directory.leaves.items():
            into.file(name.decode(), checksum)
        for name, below in directory.directories.items():
            if isinstance(below.only, RepoDirectory) and not deletes(below.only):
                into.graft(name.decode(), below.only)
            else:
                made = into.directory(name.decode(), below.meta)
                work.append((made, below, path + b"/" * bool(path) + name))


def deletes(directory: TreeDirectory) -> bool:
    """Return whether the directory has a quoted whiteout, directly or further below."""
    work = [directory]
    while work:
        node = work.pop()
        if any(unquoted(name) is not None for name in node.leaves):
            return True
        work.extend(node.directories.values())
    return False


def copy(
    tree: Tree,
    directory: TreeDirectory,
    leaf: Callable[[str], str] = str,
    meta: Callable[[str], str] = str,
) -> None:
    """Add the directory's content to the tree. `leaf` and `meta` map the checksums of files and of
    the metadata of directories, which stay the same without these functions."""
    work = [(tree, directory)]
    while work:
        into, source = work.pop()
        for name, checksum in source.leaves.items():
            into.file(name.decode(), leaf(checksum))
        for name, below in source.directories.items():
            work.append((into.directory(name.decode(), meta(below.meta)), below))
