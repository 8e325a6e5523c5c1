"""A store as a commit has it: its records read, its layers' trees at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.cache.layer import record_name
from importer.errors import ImporterError
from importer.repo.commit_keys import FORM, NAME, store_prefix
from importer.store.image import ImageView
from layers.digest import Digest
from layers.errors import Fault, LayerError
from layers.oci.config import parse_config
from layers.oci.manifest import Index, Manifest, parse_manifest
from layers.release.commit_metadata import stored_release
from layers.storage.image_record import own_images
from layers.storage.layer_record import chain, own_layers
from layers.storage.records import SIGNATURE, big_data_file
from layers.storage.stated_image import StatedImage
from layers.storage.store_id import standard_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.values import Commit, RepoDirectory
    from importer.repo.writer import Repo
    from layers.release.release import Release
    from layers.storage.image_record import ImageRecord
    from layers.storage.layer_record import LayerRecord

_MANIFEST = "manifest-"


def _others(documents: Iterable[Manifest | Index], manifest: Manifest) -> tuple[Manifest, ...]:
    """The same image's other manifests."""
    return tuple(
        one
        for one in documents
        if isinstance(one, Manifest)
        and one.digest != manifest.digest
        and one.config.digest == manifest.config.digest
        and len(one.layers) == len(manifest.layers)
    )


class NoStoreError(ImporterError):
    """There is a commit, but no store in it."""


class StoreView:
    """The store at `prefix` in a commit; `branch` is what the user called it."""

    def __init__(
        self, branch: str, commit: Commit, prefix: str, top: RepoDirectory, root: RepoDirectory
    ) -> None:
        self.branch = branch
        self.commit = commit
        self.prefix = prefix
        self.top = top
        self.root = root

    @cached_property
    def layers(self) -> dict[str, LayerRecord]:
        """Every layer's record, by its id."""
        records = own_layers(self.file("overlay-layers", "layers.json"))
        return {record.id: record for record in records}

    @cached_property
    def standard_ids(self) -> dict[str, str]:
        """Every layer's standard id, by the id that it has in this store."""
        return standard_ids(self.layers)

    @cached_property
    def release(self) -> Release | None:
        """The release that import-release wrote into the commit; LayerError if it is no good."""
        return stored_release(self.commit.metadata, self.branch)

    @cached_property
    def stated(self) -> tuple[StatedImage, ...]:
        """What the commit says of images, if it is one of ours; LayerError as for `release`."""
        if self.release is not None:
            components = self.release.components.values()
            found = [StatedImage.of_component(one.pullspec, one.digest) for one in components]
        else:
            found = [StatedImage.of_line(line, self._given_name) for line in self._lines]
        return tuple(one for one in found if one is not None)

    @property
    def _given_name(self) -> str:
        return str(self.commit.metadata.get(NAME, ""))

    @property
    def _lines(self) -> list[str]:
        ours = self.commit.metadata.get(FORM) == "store"
        return self.commit.message.body.splitlines() if ours else []

    @cached_property
    def images(self) -> tuple[ImageView, ...]:
        """Every image; LayerError, with its id, for one whose records are no good."""
        records = own_images(self.file("overlay-images", "images.json"))
        return tuple(self.image(record) for record in records)

    def image(self, record: ImageRecord) -> ImageView:
        """The image of a record, with its documents; LayerError if they are no good."""
        try:
            documents = self._documents(record)
            manifest = self._manifest(record, documents)
            indexes = tuple(one for one in documents if isinstance(one, Index))
            others = _others(documents, manifest)
            config = parse_config(self.big_data(record, str(manifest.config.digest)), manifest)
            layers = chain(self.layers, record.layer)
            shown: list[Manifest | Index] = [manifest, *others, *indexes]
            named = self._components(one.digest for one in shown)
            return ImageView(record, manifest, others, indexes, config, layers, named)
        except LayerError as error:
            raise error.within(digest=f"image {record.id[:12]}") from None

    def _components(self, digests: Iterable[Digest]) -> tuple[str, ...]:
        release = self.release
        known = {str(digest) for digest in digests}
        found = release.components.values() if release is not None else ()
        return tuple(sorted(one.name for one in found if one.digest in known))

    def _manifest(self, record: ImageRecord, documents: Iterable[Manifest | Index]) -> Manifest:
        """The one that podman shows."""
        raw = self.big_data(record, "manifest")
        found = next((one for one in documents if one.raw == raw), None) or parse_manifest(raw)
        if isinstance(found, Index):
            raise LayerError("its manifest is an index")
        return found

    def _documents(self, record: ImageRecord) -> list[Manifest | Index]:
        """Those that the store has under their digests."""
        keys = [key for key in record.big_data if key.startswith(_MANIFEST)]
        digests = [Digest.parse(key.removeprefix(_MANIFEST)) for key in keys]
        return [
            parse_manifest(self.big_data(record, key), digest.algorithm)
            for key, digest in zip(keys, digests, strict=True)
        ]

    def big_data(self, record: ImageRecord, key: str) -> bytes:
        """One of the image's documents; LayerError if it is not there."""
        return self.file(f"overlay-images/{record.id}", big_data_file(key), key)

    def signatures(self, record: ImageRecord) -> dict[Digest, tuple[bytes, ...]]:
        """Return the signatures of an image's manifests, by these digests.

        Raise LayerError if they are not there, or not of the sizes that the record says.
        """
        found: dict[Digest, tuple[bytes, ...]] = {}
        for digest, sizes in record.signature_sizes.items():
            data = self.big_data(record, f"{SIGNATURE}-{digest.hex}")
            if sum(sizes) != len(data):
                raise LayerError(
                    f"the signatures of {digest} have other sizes than the record says"
                )
            ends = [*accumulate(sizes)]
            found[digest] = tuple(
                data[end - size : end] for size, end in zip(sizes, ends, strict=True)
            )
        return found

    def file(self, directory: str, name: str, shown: str = "") -> bytes:
        """The content of a file of the store; LayerError if it is not there."""
        place = self.root.find(directory)
        content = place.read(name) if place else None
        if content is None:
            raise LayerError(f"{shown or f'{directory}/{name}'} is missing in the store")
        return content

    def diff(self, layer_id: str) -> RepoDirectory:
        """A layer's own tree; LayerError if it is not there."""
        found = self.root.find(f"overlay/{layer_id}/diff")
        if found is None:
            raise LayerError(f"overlay/{layer_id}/diff is missing in the store")
        return found

    def stack(self, image: ImageView) -> list[RepoDirectory]:
        """The trees of an image's layers, nearest first, as overlayfs stacks them."""
        return [self.diff(layer.id) for layer in reversed(image.layers)]

    def tar_split(self, layer_id: str) -> str:
        """The checksum of a layer's tar-split file; LayerError if there is none."""
        layers = self.root.find("overlay-layers")
        found = layers.leaves.get(record_name(layer_id).encode()) if layers else None
        if found is None:
            raise LayerError(f"overlay-layers/{record_name(layer_id)} is missing in the store")
        return found

    def users(self, standard_id: str) -> list[ImageView]:
        """Return the images that have a layer, given by its standard id."""
        known = self.standard_ids
        return [
            image
            for image in self.images
            if any(known[layer.id] == standard_id for layer in image.layers)
        ]


def open_store(repo: Repo, branch: str, prefix: str | None) -> StoreView:
    """The store in a branch or commit, where its metadata or `prefix` says it is.

    ImporterError if there is no such commit, or no store in it.
    """
    head = repo.revision(branch)
    if head is None:
        raise ImporterError(f"no branch {branch}", hint="`ostree refs` lists the branches")
    commit = repo.commit(head)
    where = store_prefix(commit, prefix)
    top = repo.root(commit)
    root = top.find(where.strip("/"))
    if root is None or root.find("overlay-images") is None:
        raise NoStoreError(
            f"branch {branch} has no store at {where}", hint="--prefix says where the store is"
        )
    return StoreView(branch, commit, where, top, root)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A branch that was not looked into any further, and why."""

    branch: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a repo."""

    found: tuple[StoreView, ...]
    skipped: tuple[Skipped, ...]


def find_stores(
    repo: Repo, branches: tuple[str, ...], prefix: str | None, *, broken: bool = False
) -> Stores:
    """The stores of these branches, or of all; of all, a branch without one is skipped, and
    one whose records cannot be read, unless `broken` is what the caller looks for.

    The branches of single layers are not even named.
    """
    if branches:
        return Stores(tuple(open_store(repo, branch, prefix) for branch in branches), ())
    found: list[StoreView] = []
    skipped: list[Skipped] = []
    for branch in repo.refs():
        if is_cache(branch):
            continue
        try:
            store = open_store(repo, branch, prefix)
            _ = broken or store.images
            found.append(store)
        except Fault as error:
            skipped.append(Skipped(branch, str(error)))
    return Stores(tuple(found), tuple(skipped))
