"""Layers with an SELinux label on every file.

A label is part of a file's object, so these are other objects than the layer's own, and
have a branch for each label and layer, `oci/labelled/<hash of the label>/<layer id>`: the
layer's tree as `diff` and its tar-split record beside it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from importer.cache.branches import labelled_branch
from importer.cache.layer import record_name
from importer.repo.commit_keys import LABEL, LAYER
from importer.repo.labels import labelled_owner
from importer.repo.staging import WHOLE
from importer.repo.values import Message
from layers.entry import Owner

if TYPE_CHECKING:
    from importer.cache.layer import LayerCommit
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo

_ROOT = Owner(0o755, 0, 0)
_DIFF = "diff"


def labelled(repo: Repo, layer_id: str, layer: LayerCommit, label: str, jobs: int) -> LayerCommit:
    """Return the layer with the label on all of its files and on its record.

    `jobs` files are written at once.
    """
    branch = labelled_branch(sha256(label.encode()).hexdigest()[:16], layer_id)
    message = Message(
        f"Layer {layer_id} labelled",
        0,
        metadata=((LABEL, label), (LAYER, layer.commit.checksum)),
    )
    head = repo.resolve(branch)
    if head is None or repo.commit(head).message != message:
        head = _import(repo, layer_id, layer, label, message, branch, jobs)
    root = repo.root(repo.commit(head))
    record = root.leaves.get(record_name(layer_id).encode())
    return replace(layer, labelled=root.directories[_DIFF.encode()], record=record)


def _import(
    repo: Repo,
    layer_id: str,
    layer: LayerCommit,
    label: str,
    message: Message,
    branch: str,
    jobs: int,
) -> str:
    with repo.locked():
        with repo.transaction(), ThreadPoolExecutor(jobs) as pool:
            tree = repo.tree(_ROOT)
            writer = _Relabeller(repo, label, pool)
            writer.fill(tree.directory(_DIFF, _ROOT), repo.root(layer.commit))
            if layer.record is not None:
                tree.file(record_name(layer_id), writer.rewritten(layer.record))
            tree.write()
        with repo.transaction():
            checksum = repo.write_commit(tree, message)
            repo.set_ref(branch, checksum)
    return checksum


class _Relabeller:
    """Writes each object again with the label, once."""

    def __init__(self, repo: Repo, label: str, pool: ThreadPoolExecutor) -> None:
        self._repo = repo
        self._label = label
        self._pool = pool

    def fill(self, tree: Tree, directory: RepoDirectory) -> None:
        """Add the directory's content to the tree, labelled."""
        files = _checksums(directory)
        written = dict(zip(files, self._pool.map(self.rewritten, files), strict=True))
        metas: dict[str, str] = {}
        tree.set_owner(self._meta(directory.meta, metas))
        work = [(tree, directory)]
        while work:
            into, here = work.pop()
            for name, checksum in here.leaves.items():
                into.file(name.decode(), written[checksum])
            for name, below in here.directories.items():
                meta = self._meta(below.meta, metas)
                work.append((into.directory(name.decode(), meta), below))

    def _meta(self, checksum: str, known: dict[str, str]) -> str:
        if checksum not in known:
            owner = labelled_owner(self._repo.dirmeta(checksum), self._label)
            known[checksum] = self._repo.write_dirmeta(owner)
        return known[checksum]

    def rewritten(self, checksum: str) -> str:
        """Write the object with the label. Return its checksum."""
        file = self._repo.file(checksum)
        owner = labelled_owner(file.owner, self._label)
        if file.target is not None:
            return self._repo.write_symlink(owner, file.target)
        content = self._repo.content(checksum)
        if file.size > WHOLE:
            return self._repo.write_large_file(owner, file.size, content)
        return self._repo.write_file(owner, b"".join(content))


def _checksums(directory: RepoDirectory) -> list[str]:
    """Return the checksums of all files and symlinks in the directory and below, each once."""
    found: dict[str, None] = {}
    work = [directory]
    while work:
        node = work.pop()
        found |= dict.fromkeys(node.leaves.values())
        work.extend(node.directories.values())
    return list(found)
