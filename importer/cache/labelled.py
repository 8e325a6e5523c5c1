"""Make layers whose files all have an SELinux label.

A label is part of a file's object, so the labelled files are other objects than the layer's own.
They have a branch for each label and layer, `oci/labelled/<hash of the label>/<layer id>`: the
layer's tree as `diff` and its tar-split record beside it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from itertools import batched, chain
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cache.branches import labelled_branch
from importer.cache.layer import record_name
from importer.cache.stack import copy
from importer.repo.commit_keys import LABEL, LAYER
from importer.repo.new_objects import WHOLE
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.workers.tasks import Tasks, processes
from layers.entry import Owner, labelled_owner
from layers.frozen import frozen
from layers.tree.lower import each_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.cache.layer import LayerCommit
    from importer.progress import Advance
    from importer.repo.values import RepoDirectory
    from importer.workers.job import Store


# Objects of a batch: enough that sending it to a process costs little, and few enough that all
# processes have work until the end.
_BATCH = 128
_ROOT = Owner(0o755, 0, 0)
_DIFF = "diff"


def labelled(
    repo: Repo, layers: Mapping[str, LayerCommit], label: str, jobs: int
) -> dict[str, LayerCommit]:
    """Return the layers, by their ids, with the label on all of their files and records.

    Layers that no branch has with this label are read and written by `jobs` processes.
    """
    with Tasks(jobs, LabelObjects.__module__) as tasks:
        writer = _Labeller(repo, label, jobs, tasks)
        return {layer_id: writer.layer(layer_id, layer) for layer_id, layer in layers.items()}


def label_hash(label: str) -> str:
    """Return the part of a branch's name that stands for the label, 16 hex digits."""
    return sha256(label.encode()).hexdigest()[:16]


@frozen
class _Labeller:
    """Writes layers again with the label, each object of a layer once."""

    _repo: Repo
    _label: str
    _jobs: int
    _tasks: Tasks

    def layer(self, layer_id: str, layer: LayerCommit) -> LayerCommit:
        """Return the layer with the label: from its branch, or written again."""
        repo = self._repo
        branch = labelled_branch(label_hash(self._label), layer_id)
        facts = ((LABEL, self._label), (LAYER, layer.commit.checksum))
        message = Message(f"Layer {layer_id} labelled", 0, metadata=facts)
        head = repo.find_head(branch)
        if head is None or head.message != message:
            head = repo.commit(self._import(layer_id, layer, message, branch))
        root = repo.root(head)
        record = root.leaves.get(record_name(layer_id).encode())
        return replace(layer, shown=root.directories[_DIFF.encode()], record=record)

    def _import(self, layer_id: str, layer: LayerCommit, message: Message, branch: str) -> str:
        repo, record = self._repo, layer.record
        with repo.locked():
            with repo.transaction():
                directory = repo.root(layer.commit)
                files = _checksums(directory) + ([record] if record else [])
                written = dict(zip(files, self._written(files, layer.diff_size), strict=True))
                tree = repo.tree(_ROOT)
                meta = cache(self._meta)
                diff = tree.directory(_DIFF, meta(directory.meta))
                copy(diff, directory, written.__getitem__, meta)
                if record is not None:
                    tree.file(record_name(layer_id), written[record])
                stored = tree.write()
            with repo.transaction():
                checksum = repo.write_commit(stored, message)
                repo.set_ref(branch, checksum)
        return checksum

    def _written(self, files: Sequence[str], size: int) -> Iterator[str]:
        """Write the labelled objects of these files, which have `size` bytes together. Return
        their checksums, in order."""
        batches = list(batched(files, _BATCH))
        apart = processes(self._jobs, [size // max(1, len(batches))] * len(batches)) > 1
        jobs = (LabelObjects(self._repo.path, self._label, batch) for batch in batches)
        begun = [self._tasks.begin_job(self._repo, job, apart=apart) for job in jobs]
        return chain.from_iterable([written.result() for written in begun])

    def _meta(self, checksum: str) -> str:
        return self._repo.write_dirmeta(labelled_owner(self._repo.dirmeta(checksum), self._label))


def _checksums(directory: RepoDirectory) -> list[str]:
    """Return the checksums of all files and symlinks in the directory and below, each once."""
    leaves = (node.leaves.values() for _, node in each_directory(directory))
    return list(dict.fromkeys(chain.from_iterable(leaves)))


@frozen
class LabelObjects:
    """A `Job`: write files and symlinks of the repo again with the label, by their checksums.

    The result is the checksum of each labelled object, in order.
    """

    repo: Path
    label: str
    checksums: tuple[str, ...]

    def read(self, store: Store, source: int, advance: Advance) -> tuple[str, ...]:  # noqa: ARG002
        """See `Job`. Raise ImporterError for an object that cannot be read."""
        repo = Repo.open(self.repo)
        return tuple(self._labelled(repo, store, checksum) for checksum in self.checksums)

    def _labelled(self, repo: Repo, store: Store, checksum: str) -> str:
        file = repo.file(checksum)
        owner = labelled_owner(file.owner, self.label)
        if file.target is not None:
            return store.write_symlink(owner, file.target)
        content = repo.intact(file)
        if file.size > WHOLE:
            return store.write_large_file(owner, file.size, content)
        return store.write_file(owner, b"".join(content))
