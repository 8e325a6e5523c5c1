"""Write the layers that the new image has on top of the base's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from importer.embed.extra_files import ExtraFiles
from importer.embed.layer_tar import EmbeddedTar, PlannedLayer, Source, WrittenLayer, write_layer
from importer.embed.store_layers import leaves_of
from importer.store.artifact_files import blob_checksums
from importer.store.layers import layer_parts
from layers.entry import Owner, unlabelled
from layers.path import components, joined
from layers.storage.artifact import ARTIFACTS
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.embed.base_image import BaseImage
    from importer.embed.embed import EmbedJob
    from importer.embed.present_store import PresentStore
    from importer.embed.store_layers import StoreLayers
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.path import Path
    from layers.storage.packing import Packing

_DIRECTORY = Owner(0o755, 0, 0)
_OVERLAY, _RECORDS, _ARTIFACTS = b"overlay", b"overlay-layers", ARTIFACTS.encode()

# The history entry of the layer that removes the base's store.
REMOVED = "image-store embed: without the base's store"


def records_created_by(store: StoreView, job: EmbedJob) -> str:
    """Return the last layer's history entry. It names the options that add files to the layer."""
    repair = job.engines.internal_repair
    given = {
        "--bound": job.bound,
        "--selinux-equivalence": job.equivalence,
        "--device-units": job.device_units,
        "--storage-conf": job.engines.storage_conf,
        "--crio-conf": job.engines.crio_conf,
        f"--crio-internal-repair={str(repair).lower()}": repair is not None,
    }
    options = "".join(f" {name}" for name, is_given in given.items() if is_given)
    return f"image-store embed{options}: records of {several(len(store.images), 'image')}"


class ImageLayers:
    """The layers of a packed store, and one more with its records, which is the last.

    Each file of the store is in exactly one of these layers, or in the base's `present` store. A
    store that is replaced is removed by a layer of its own, below the others.
    """

    def __init__(
        self,
        repo: Repo,
        store: StoreView,
        job: EmbedJob,
        packing: Packing,
        layers: StoreLayers,
        present: PresentStore,
        extra: ExtraFiles,
    ) -> None:
        self._repo = repo
        self._store = store
        self._job = job
        self._packing = packing
        self._layers = layers
        self._present = present
        self._prefix = components(store.prefix.encode())
        self._extra = extra
        self._blobs = blob_checksums(store.root)

    def write(
        self, layout: Layout, base: BaseImage, progress: Progress
    ) -> tuple[WrittenLayer, ...]:
        """Write the layers into the layout, several at once. Return them, base first."""
        for path in sorted(self._extra.own.keys() & base.watched.keys()):
            shown = joined(path).decode()
            progress.message(f"/{shown} of the base image is replaced by the branch's")
        added = self._extra.added(base, self._present, progress)
        groups = map(self._group, self._packing.groups)
        planned = [*self._removal(), *groups, self._last(added)]
        owners = self._owners(base)

        def write(layer: PlannedLayer) -> WrittenLayer:
            tar = EmbeddedTar(self._repo, owners)
            return write_layer(layer, tar, layout, self._job.compression, progress)

        with ThreadPoolExecutor(self._job.jobs) as pool:
            return tuple(pool.map(write, planned))

    def _group(self, group: tuple[str, ...]) -> PlannedLayer:
        members = {path: file for layer in group for path, file in self._files(layer).items()}
        images, created_by = self._layers.users(group) or ("",), self._layers.created_by(group)
        size = self._layers.size(group)
        return PlannedLayer(members, group, images, created_by, group[-1][:12], size)

    def _files(self, layer_id: str) -> dict[Path, Source]:
        """Return the layer's directory, blocker and tar-split record, as far as it has them; or
        the file of an artifact's blob."""
        parts = layer_parts(self._store.root, layer_id)
        return {(*self._prefix, *path): part for path, part in parts.items()}

    def _removal(self) -> list[PlannedLayer]:
        removed = self._present.removed
        return [PlannedLayer(removed, (), (), REMOVED, "whiteouts", 0)] if removed else []

    def _last(self, added: dict[Path, Source]) -> PlannedLayer:
        """Return the last layer: the store's files that no other layer has, and files beside it."""
        members = self._rest()
        members |= added
        last = self._packing.last
        created_by = records_created_by(self._store, self._job)
        users = (self._layers.users(last) or ("",)) if last else ()
        return PlannedLayer(members, last, users, created_by, "records", self._layers.size(last))

    def _rest(self) -> dict[Path, Source]:
        groups = [*self._packing.groups, self._present.layers]
        taken = {path for group in groups for layer in group for path in self._files(layer)}
        members: dict[Path, Source] = {}
        divided = {_OVERLAY, _RECORDS, *(path[-2] for path in self._present.files)}
        for part, directory in self._store.root.directories.items():
            if part == _ARTIFACTS:
                paths = {(*self._prefix, part, *path): leaf for path, leaf in leaves_of(directory)}
                members |= {path: leaf for path, leaf in paths.items() if path not in taken}
                continue
            if part not in divided:
                members[(*self._prefix, part)] = directory
                continue
            inside: dict[bytes, Source] = {**directory.directories, **directory.leaves}
            places = {(*self._prefix, part, name): source for name, source in inside.items()}
            members |= {path: source for path, source in places.items() if path not in taken}
        leaves = self._store.root.leaves.items()
        members |= {(*self._prefix, name): checksum for name, checksum in leaves}
        return members | self._present.files

    def _owners(self, base: BaseImage) -> Callable[[Path], Owner]:
        """Return a function that tells a directory's owner: the store's own, else the base's."""
        size = len(self._prefix)

        def owner(path: Path) -> Owner:
            there = base.owner(path)
            if path[:size] != self._prefix and there is not None:
                return there
            directory = self._store.top.find(b"/".join(path).decode())
            return self._repo.dirmeta(directory.meta) if directory is not None else _DIRECTORY

        return lambda path: unlabelled(owner(path))
