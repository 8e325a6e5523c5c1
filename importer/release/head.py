"""The release of a branch's commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import RELEASE, release_branch
from importer.repo.commit_keys import store_prefix
from importer.store.layers import IMAGES, LAYERS
from layers.document import MAX_RECORDS_SIZE
from layers.release.commit_metadata import images_release, layer_sizes, stored_release

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.release.diff import LayerSize
    from layers.release.release import Release


def latest_release(repo: Repo, arch: str) -> Commit | None:
    """Return the newest commit on releases' default branches for this architecture."""
    suffix = release_branch("", arch).rpartition("/")[2]
    commits = [
        repo.commit(checksum)
        for ref, checksum in repo.refs().items()
        if ref.startswith(f"{RELEASE}/") and ref.endswith(f"/{suffix}")
    ]
    return max(commits, key=lambda commit: commit.message.timestamp, default=None)


def release_of(repo: Repo, commit: Commit | None, name: str) -> Release | None:
    """Return the release in a commit's store, None without a commit or a store. `name` is the
    commit's name in errors.

    Without import-release's metadata the components are the images of the store.
    """
    if commit is None:
        return None
    release = stored_release(commit.metadata, name)
    if release is not None:
        return release
    raw = _record(repo, commit, IMAGES)
    return images_release(raw, name) if raw is not None else None


def is_release(commit: Commit) -> bool:
    """Return whether import-release made the commit."""
    return stored_release(commit.metadata, commit.checksum) is not None


def layers_of(repo: Repo, commit: Commit | None) -> dict[str, LayerSize]:
    raw = _record(repo, commit, LAYERS) if commit else None
    return layer_sizes(raw, commit.checksum) if raw and commit else {}


def _record(repo: Repo, commit: Commit, path: str) -> bytes | None:
    store = store_prefix(commit).strip("/")
    return repo.root(commit).read(f"{store}/{path}", MAX_RECORDS_SIZE)
