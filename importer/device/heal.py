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
from dataclasses import replace
from pathlib import Path
from typing import Iterator, Tuple

from importer.device.aside import ASIDE, bring_back, put_aside, settle
from importer.device.configured import Configured
from importer.device.folder import DeviceError, Folder, opened_below_mounts
from importer.device.lowers import name_lowers_anew
from importer.device.records import (
    ALL_LAYERS,
    CONTAINERS,
    IMAGES,
    LAYERS,
    Chains,
    DeviceStores,
    opened_stores,
    recorded,
)
from importer.device.treatment import Treatment, treatment

ROOT = Path("/var/lib/containers/storage")
# In the order in which containers-storage takes them (store.go).
_LOCKS = ("overlay-layers/layers.lock", "overlay-images/images.lock")
_LAST_WRITER_BYTES = 64
_INTERVAL = 0.05


def heal_storage(
    root: Path,
    configured: Configured,
    *,
    dry_run: bool = False,
    delete: bool = False,
    timeout: float = 60,
) -> Treatment:
    """Heal the storage at `root`, given the stores beside it.

    `delete`: delete what is aside afterwards. Raise DeviceError if a record cannot be read, or if
    another program holds a lock for `timeout` seconds; the next call does what is left.
    """
    with ExitStack() as held:
        storage = opened_below_mounts(root, held)
        if not (storage and (storage.status(IMAGES) or storage.status(LAYERS))):
            return Treatment(dry_run=dry_run)
        stores = opened_stores(configured, held)
        for lock in _LOCKS:
            held.enter_context(_locked(storage, lock, timeout, written=not dry_run))
        if not dry_run:
            settle(storage)
        plan = treatment(storage, stores)
        if not dry_run:
            _move(storage, plan)
            linked = () if plan.doubts else _linked(storage, stores)
            plan = replace(plan, linked=linked)
            if delete and storage.status(ASIDE):
                storage.remove_tree(ASIDE)
        return replace(plan, deleted=delete, dry_run=dry_run)


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
