"""Move images out of a device's own storage whose layers went with the last OS release.

An image that was pulled beside a read-only store can have layers of that store as its parents.
When an upgrade brings a store without them, CRI-O cannot list any image, and such an image cannot
start. Its records and remaining layers are moved aside, under containers-storage's own locks, and
come back when the parents are back, as after a rollback. Nothing is deleted unless asked for.
Containers stay; one that cannot start any more is named.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from importer.device.aside import ASIDE, bring_back, put_aside, settle
from importer.device.configured import Configured
from importer.device.folder import DeviceError, Folder, opened_below_mounts, printable
from importer.device.lowers import name_lowers_anew
from importer.device.records import (
    ALL_LAYERS,
    CONTAINERS,
    IMAGES,
    LAYERS,
    Chains,
    DeviceStores,
    Recorded,
    opened_stores,
    recorded,
)
from importer.device.treatment import Treatment, called, treatment

ROOT = Path("/var/lib/containers/storage")
# In the order in which containers-storage takes them (store.go).
_LOCKS = ("overlay-layers/layers.lock", "overlay-images/images.lock")
_LAST_WRITER_BYTES = 64
_INTERVAL = 0.05


@dataclass(frozen=True)
class Healed:
    """The result of a healing; with `dry_run` nothing was changed.

    `linked`: layers whose parents have other links by now. `deleted`: everything aside is deleted.
    """

    done: Treatment
    dry_run: bool = False
    linked: Tuple[str, ...] = ()
    deleted: bool = False

    @property
    def is_well(self) -> bool:
        """Return whether no broken image had to stay because of a doubt."""
        return not (self.done.broken and self.done.doubts)

    def lines(self) -> List[str]:
        """Return what to tell people, a line each."""
        done, would = self.done, "would be " if self.dry_run else ""
        goes = "stays" if done.doubts else f"{would}moved aside"
        lines = [
            f"{called(broken.image)}: {goes}, since no store has its layer {broken.missing[:12]}"
            for broken in done.broken
        ]
        lines += [f"layer {layer}: {goes}" for layer in done.layers]
        lines += [f"{called(image)}: {would}brought back" for image in done.returning_images]
        lines += [f"layer {layer}: names its parents' links of today" for layer in self.linked]
        lines += [
            f"container {container[:12]} cannot start, since its image's layers are gone; it stays,"
            " and so do its files: `podman rm` or `crictl rm` removes it"
            for container in done.stuck
        ]
        lines += [f"in doubt: {doubt}" for doubt in done.doubts] if lines else []
        lines += [f"all that is aside: {would}deleted"] if self.deleted else []
        return [printable(line) for line in lines] or ["nothing is broken"]

    def document(self) -> Dict[str, object]:
        """Return the same for JSON."""
        done = self.done
        return {
            "dry_run": self.dry_run,
            "images": [
                {**_document(broken.image), "missing_layer": broken.missing}
                for broken in done.broken
            ],
            "layers": list(done.layers),
            "moved_aside": not done.doubts and not self.dry_run,
            "returned": [_document(image) for image in done.returning_images],
            "linked_layers": list(self.linked),
            "stuck_containers": list(done.stuck),
            "doubts": list(done.doubts),
            "deleted": self.deleted,
        }


def _document(image: Recorded) -> Dict[str, object]:
    return {"image_id": image.id, "names": list(image.names)}


def heal_storage(
    root: Path,
    configured: Configured,
    *,
    dry_run: bool = False,
    delete: bool = False,
    timeout: float = 60,
) -> Healed:
    """Heal the storage at `root`, given the stores beside it.

    `delete`: delete what is aside afterwards. Raise DeviceError if a record cannot be read, or if
    another program holds a lock for `timeout` seconds; the next call does what is left.
    """
    with ExitStack() as held:
        storage = opened_below_mounts(root, held)
        if not (storage and (storage.status(IMAGES) or storage.status(LAYERS))):
            return Healed(Treatment(), dry_run)
        stores = opened_stores(configured, held)
        for lock in _LOCKS:
            held.enter_context(_locked(storage, lock, timeout, written=not dry_run))
        if not dry_run:
            settle(storage)
        plan = treatment(storage, stores)
        if dry_run:
            return Healed(plan, dry_run, deleted=delete)
        _move(storage, plan)
        linked = () if plan.doubts else _linked(storage, stores)
        if delete and storage.status(ASIDE):
            storage.remove_tree(ASIDE)
        return Healed(plan, linked=linked, deleted=delete)


def _move(storage: Folder, plan: Treatment) -> None:
    if (plan.broken or plan.layers) and not plan.doubts:
        images = [broken.image.id for broken in plan.broken]
        put_aside(storage, {IMAGES: images, LAYERS: plan.layers})
    for returning in plan.returning:
        bring_back(storage, returning.there, returning.records)


def _linked(storage: Folder, stores: DeviceStores) -> Tuple[str, ...]:
    chains = Chains(recorded(storage, ALL_LAYERS), stores.layers)
    containers = recorded(storage, CONTAINERS).values()
    tops = {layer for container in containers for layer in container.below}
    return tuple(name_lowers_anew(storage, chains, stores.folders, but=tops))


@contextmanager
def _locked(storage: Folder, path: str, timeout: float, *, written: bool) -> Iterator[None]:
    """Hold a lock of containers-storage: fcntl(2), F_SETLK, on a file (pkg/lockfile).

    `written` tells other programs to read the records again.
    Raise DeviceError if another program holds the lock for `timeout` seconds.
    """
    end = time.monotonic() + timeout
    if storage.status(path) is None:
        raise DeviceError(f"{storage.path / path} is absent; see `podman system check`")
    with storage.file(path, os.O_RDWR) as descriptor:
        while not _taken(descriptor):
            if time.monotonic() > end:
                raise DeviceError(
                    f"another program holds {storage.path / path} for {timeout:g} seconds;"
                    " try again later"
                )
            time.sleep(_INTERVAL)
        yield
        if written:
            os.pwrite(descriptor, os.urandom(_LAST_WRITER_BYTES), 0)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, by POSIX
        return False
    return True
