"""Write the directories that no lower layer can change, before any lower layer is read.

Most directories of a layer are so: the layer lists them, and deletes nothing in or below them. The
process that reads the layer writes them; layers/tree/translate.py writes the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from layers.errors import LayerError
from layers.ostree.bounds import check_directory
from layers.ostree.objects import Stored, dirmeta, dirtree
from layers.tree.node import Directory, Leaf, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from layers.tree.builder import LayerTree

type Store = Callable[[Literal["dirtree", "dirmeta"], bytes], str]


def seal(tree: LayerTree, store: Store) -> None:
    """Write each directory that no lower layer can change, and put a `Stored` in its place.

    `store` takes an object's kind, `dirtree` or `dirmeta`, and its bytes, and returns its checksum.
    Raise LayerError, with the path, for a directory that is too large for ostree.
    """
    directories = list(walk(tree.root))
    replaced = _replaced(directories)
    unresolved = {link.leaf for link in tree.links}
    sealed: dict[Directory, Stored] = {}
    for directory in reversed(directories):  # parents come last
        for name, node in directory.entries.items():
            if isinstance(node, Directory) and node in sealed:
                directory.entries[name] = sealed[node]
        if directory is not tree.root and directory not in replaced:
            try:
                stored = _sealed(directory, unresolved, store)
            except LayerError as error:
                raise error.within(path=_path(tree.root, directory)) from None
            if stored is not None:
                sealed[directory] = stored


def _replaced(directories: list[Directory]) -> set[Directory]:
    """Return the directories that get whiteouts: this layer deletes the lower layers' entry in
    their place, or above."""
    replaced: set[Directory] = set()
    for directory in directories:  # parents come first
        for name, node in directory.entries.items():
            if isinstance(node, Directory) and (
                directory.opaque or directory in replaced or name in directory.whiteouts
            ):
                replaced.add(node)
    return replaced


def _sealed(directory: Directory, unresolved: set[Leaf], store: Store) -> Stored | None:
    """Write the directory. Return None if it depends on the layers below."""
    owner = directory.owner
    if owner is None or directory.opaque or directory.whiteouts:
        return None
    files: dict[bytes, str] = {}
    directories: dict[bytes, Stored] = {}
    for name, node in directory.entries.items():
        if isinstance(node, Leaf) and node not in unresolved:
            files[name] = node.checksum
        elif isinstance(node, Stored):
            directories[name] = node
        else:
            return None
    check_directory(files, directories)
    contents = store("dirtree", dirtree(files, directories))
    return Stored(contents, store("dirmeta", dirmeta(owner)))


def _path(root: Directory, wanted: Directory) -> bytes:
    """Search for the path of a directory, for an error."""
    work = [(b"", root)]
    while work:
        path, directory = work.pop()
        if directory is wanted:
            return path
        for name, node in directory.entries.items():
            if isinstance(node, Directory):
                work.append((path + b"/" * bool(path) + name, node))
    return b""
