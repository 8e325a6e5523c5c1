"""`image-store prune`: delete layers that no store needs, then commits of ours without a branch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from importer.cache.branches import CUT, FLATTENED, LABELLED, is_blob, is_cache
from importer.render.table import Block, Shown, Text
from importer.repo.commit_keys import is_ours, store_prefix
from importer.repo.reachable import ancestors, commit_objects, loose_objects
from importer.repo.staging import clear_abandoned_objects
from importer.repo.writer import Pruned
from importer.store.artifact_files import blob_checksums
from layers.errors import within
from layers.frozen import frozen
from layers.storage.layer_id import possible_ids
from layers.words import several, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.progress import Progress
    from importer.repo.reachable import Objects
    from importer.repo.values import Commit
    from importer.repo.writer import Repo

_INCOMPLETE = "pull the branch as a whole, or delete it; `ostree fsck` tells what is missing"


@frozen
class Pruning(Shown):
    """The branches that were deleted, the ids of their layers and blobs, and the freed space.
    `others` counts the commits that no branch leads to and no import of images made: they stay."""

    branches: tuple[str, ...]
    layers: tuple[str, ...]
    others: int
    freed: Pruned
    dry_run: bool

    def blocks(self) -> list[Block]:
        blobs = sum(map(is_blob, self.layers))
        counted = several(len(self.layers) - blobs, "layer")
        counted += f", {several(blobs, 'blob')}" if blobs else ""
        layers = [Text(f"{'blob' if is_blob(each) else 'layer'} {each}") for each in self.layers]
        would = "would delete" if self.dry_run else "deleted"
        objects = f"{self.freed.objects:,} of {several(self.freed.total, 'object')}"
        gone = f"{counted}, {objects}, {size(self.freed.size)}"
        stay = (
            f"commits without a branch that no import of images made, which stay: {self.others:,}"
        )
        kept = [Text(f"{stay}; `ostree prune --refs-only` deletes them")] if self.others else []
        return [*layers, Text(f"{would} {gone}"), *kept]

    def document(self) -> dict[str, object]:
        return {
            "dry_run": self.dry_run,  # whether nothing was deleted
            "layers": self.layers,  # ids of the layers, and digests of the blobs, that go
            "branches": self.branches,  # the branches that go
            # number of commits that no branch leads to and no import of images made; they stay
            "other_commits": self.others,
            "objects": self.freed.total,  # number of objects that were looked at
            "pruned_objects": self.freed.objects,  # number of objects that go
            "freed_bytes": self.freed.size,  # their bytes
        }


def prune(
    repo: Repo, keep: int | None, prefix: str | None, progress: Progress, *, dry_run: bool
) -> Pruning:
    """Delete the layers and commits that no branch needs, or with `dry_run` only list them.

    `keep` is how many commits of each branch stay; None keeps all. The repo is locked exclusively:
    an import holds the lock from before it looks for layers until its store is committed, so no
    running import needs a layer that no store needs now.
    """
    repo.check_writable()
    wait = partial(progress.message, "waiting for an import that uses the repo")
    with repo.locked_alone(wait):
        refs = repo.refs()
        needed = _needed(repo, refs, keep, prefix)
        gone = tuple(ref for ref in refs if is_cache(ref) and not needed.has(repo, ref))
        layers = tuple(sorted({_layer_id(repo, ref) for ref in gone}))
        commits = _Commits.of(repo, [refs[ref] for ref in refs.keys() - gone], keep)
        if dry_run:
            freed = _unreachable(repo, commits)
        else:
            repo.delete_refs(gone)
            freed = _prune(repo, commits)
        return Pruning(gone, layers, len(commits.others), freed, dry_run)


@frozen
class _Commits:
    """The repo's commits. A branch needs the commits `needed`; `gone` will be deleted. `others`
    have no branch and no import of images made them, so they stay."""

    needed: frozenset[str]
    others: frozenset[str]
    gone: frozenset[str]

    @classmethod
    def of(cls, repo: Repo, heads: Sequence[str], keep: int | None) -> _Commits:
        needed = _ancestors(repo, heads, keep)
        # With --keep, a branch's older commits go, those of other programs included.
        older = frozenset() if keep is None else _ancestors(repo, heads, None) - needed
        loose = loose_objects(repo)
        commits = frozenset(checksum for kind, checksum, _ in loose if kind == "commit")
        rest = commits - needed - older
        others = frozenset(commit for commit in rest if not is_ours(repo.commit(commit)))
        return cls(needed, others, older | rest - others)


def _ancestors(repo: Repo, heads: Sequence[str], keep: int | None) -> frozenset[str]:
    return frozenset(commit.checksum for head in heads for commit in ancestors(repo, head, keep))


def _prune(repo: Repo, commits: _Commits) -> Pruned:
    """Delete commits, and what no other commit needs. Commits go first: if the rest fails or is
    killed, no commit that is there lacks its files, and the next run deletes them."""
    clear_abandoned_objects(repo.path)
    size = sum(repo.storage_size("commit", checksum) for checksum in commits.gone)
    for checksum in commits.gone:
        repo.delete_commit(checksum)
    rest, count = repo.prune(), len(commits.gone)
    return Pruned(rest.total + count, rest.objects + count, rest.size + size)


@frozen
class _Needed:
    """Layers of the stores in the commits that stay.

    `layers` are the ids that layers have in the stores, and the digests of artifacts' blobs;
    `trees` the checksums of the layers' trees' contents, `files` those of the blobs.
    """

    layers: set[str]
    trees: set[str]
    files: set[str]

    def has(self, repo: Repo, ref: str) -> bool:
        """Return whether a store has the layer of a cache's branch: with the same label, and with
        or without whiteouts."""
        if ref.startswith((f"{CUT}/", f"{LABELLED}/")):
            tree = repo.root(repo.head(ref)).directories.get(b"diff")
            if tree is None:
                return False
            return tree.contents in self.trees or not self.files.isdisjoint(tree.leaves.values())
        layer_id = _layer_id(repo, ref)
        ids = [layer_id] if is_blob(layer_id) else possible_ids(layer_id)
        return not self.layers.isdisjoint(ids)


def _needed(repo: Repo, refs: dict[str, str], keep: int | None, prefix: str | None) -> _Needed:
    needed = _Needed(set(), set(), set())
    for ref, checksum in refs.items():
        if not is_cache(ref):
            with within(digest=f"branch {ref}", hint=_INCOMPLETE):
                for commit in ancestors(repo, checksum, keep):
                    _add_layers(repo, commit, prefix, needed)
    return needed


def _add_layers(repo: Repo, commit: Commit, prefix: str | None, needed: _Needed) -> None:
    """Note the layers and blobs of a commit's store, by its directories: damaged records lose
    none."""
    store = repo.root(commit).find(store_prefix(commit, prefix).strip("/"))
    if store is None:
        return
    blobs = blob_checksums(store)
    needed.layers.update(blobs)
    needed.files.update(blobs.values())
    overlay = store.find("overlay")
    for name, directory in overlay.directories.items() if overlay else ():
        needed.layers.add(name.decode())
        if (tree := directory.directories.get(b"diff")) is not None:
            needed.trees.add(tree.contents)


def _layer_id(repo: Repo, ref: str) -> str:
    """Return the standard id of the layer that a branch of the cache holds, or a blob's digest.

    The names of the branches `oci/flattened/…` and `oci/cut/…` do not have the id. The commit's
    subject, which begins with "Layer ID", has it.
    """
    if not ref.startswith((f"{FLATTENED}/", f"{CUT}/")):
        *_, above, last = ref.split("/")
        return f"{above}:{last}" if above.startswith("sha") else last  # of a blob
    return repo.head(ref).message.subject.split(" ")[1]


def _unreachable(repo: Repo, commits: _Commits) -> Pruned:
    needed: Objects = set()
    for checksum in commits.needed | commits.others:
        needed |= commit_objects(repo, repo.commit(checksum))
    total = count = freed = 0
    for kind, checksum, on_disk in loose_objects(repo):
        total += 1
        if (kind, checksum) not in needed:
            count += 1
            freed += on_disk
    return Pruned(total, count, freed)
