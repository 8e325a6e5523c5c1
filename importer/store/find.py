"""Find the stores of a repo's branches, an image in them, and the commit of an embedded store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.errors import ImporterError
from importer.store.image import ImageView
from importer.store.reader import NoStoreError, StoreView, open_store
from layers.document import mapping, parse_document, string
from layers.errors import Fault, LayerError
from layers.frozen import frozen
from layers.oci.derive import STORE_COMMIT
from layers.storage.select_image import NamedImage, select
from layers.words import first_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.storage.artifact import Artifact
    from layers.storage.image import Image

    # A store, and an image or artifact of it.
    type Place = tuple[StoreView, ImageView | Artifact]
    # Images and artifacts by their ids.
    type Places = dict[str, list[Place]]


@frozen
class Skipped:
    branch: str  # the branch
    reason: str  # why it was skipped
    broken: bool  # whether it has a store whose records cannot be read


@frozen
class Stores:
    found: tuple[StoreView, ...]
    skipped: tuple[Skipped, ...]


def find_stores(
    repo: Repo, branches: tuple[str, ...], prefix: str | None, *, broken: bool = False
) -> Stores:
    """Find the stores of these branches, or of all branches if none are given.

    Of all branches, those without a store are skipped, and so are those with unreadable records
    unless `broken` is true. Branches of the cache are ignored.
    """
    if branches:
        return Stores(tuple(open_store(repo, branch, prefix) for branch in branches), ())
    stores: list[StoreView] = []
    skipped: list[Skipped] = []
    for branch in repo.refs():
        if is_cache(branch):
            continue
        try:
            store = open_store(repo, branch, prefix)
            _ = broken or (store.images, store.artifacts)
            stores.append(store)
        except Fault as error:
            skipped.append(Skipped(branch, str(error), not isinstance(error, NoStoreError)))
    return Stores(tuple(stores), tuple(skipped))


def places_of(stores: Stores) -> Places:
    """Return all images and artifacts of the stores."""
    places: Places = {}
    for store in stores.found:
        stored: tuple[ImageView | Artifact, ...] = (*store.images, *store.artifacts)
        for each in stored:
            places.setdefault(each.id, []).append((store, each))
    return places


def find_stored(stores: Stores, text: str) -> list[Place]:
    """Find the image or artifact that `text` means: each store that has it, with its view there.
    An artifact of several names is found under those that `text` means.

    An image of that name, id or digest goes first, then the image of a release's component, then
    an artifact. Stores that have it under that name come first, then stores with any name for it.
    Raise ImporterError if there is none, LayerError if the text could mean several.
    """
    text = text.removeprefix("docker://")
    places = places_of(stores)
    images = {
        each: copies for each, copies in places.items() if isinstance(copies[0][1], ImageView)
    }
    chosen = _selected(images, text) or _component(images, text) or _selected(places, text)
    if chosen is None:
        raise ImporterError(
            f"no image or artifact {text[:200]!r} in the stores of this repo{_unread(stores)}",
            hint="`image-store list` lists them; a name, an id or a digest will do",
        )
    found = [
        place
        for place in places[chosen]
        if isinstance(place[1], ImageView) or _selected({chosen: [place]}, text)
    ]
    return sorted(found, key=lambda p: (text not in p[1].names, not p[1].names))


def _selected(places: Places, text: str) -> str | None:
    """Return the id of the image or artifact that has the name, id or digest, None if none has."""
    candidates = [
        NamedImage(
            each_id,
            tuple(name for _, each in copies for name in each.names),
            tuple(digest for _, each in copies for digest in each.digests),
        )
        for each_id, copies in places.items()
    ]
    selected = select(candidates, text)
    return selected.id if selected is not None else None


def _component(places: Places, text: str) -> str | None:
    """Return the id of the image that is a release's component of this name, None if there is none.
    Raise LayerError if releases have several."""
    branches = {
        image.id: store.branch
        for copies in places.values()
        for store, image in copies
        if text in image.components
    }
    if len(branches) > 1:
        raise LayerError(
            f"{len(branches)} images are the component {text}, on"
            f" {first_of(sorted(branches.values()))}",
            hint="name a branch with --branch",
        )
    return next(iter(branches), None)


def original(places: Sequence[Place]) -> Place:
    """Return the first store that has the image with its original layers, else the first one."""
    return next((place for place in places if not place[1].flattened), places[0])


def _unread(stores: Stores) -> str:
    """Return the end of an error message: the first branches whose store cannot be read, and why;
    "" if all can be read."""
    broken = [skipped for skipped in stores.skipped if skipped.broken][:3]
    return "".join(f"; branch {branch.branch} cannot be read: {branch.reason}" for branch in broken)


def embedded_commit(repo: Repo, image: Image) -> Commit | None:
    """Return the commit whose store was embedded, or None if the repo has not the whole of it."""
    document = parse_document(image.manifest.raw, "the manifest")
    annotations = mapping(document, "annotations", "the manifest", {})
    checksum = string(annotations, STORE_COMMIT, "the manifest's annotations", "")
    if not checksum or not repo.exists("commit", checksum):
        return None
    commit = repo.commit(checksum)
    return None if commit.partial else commit
