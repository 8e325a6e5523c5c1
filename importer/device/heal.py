"""Move images out of a device's own storage whose layers went with the last OS release.

An image that was pulled beside a read-only store can have layers of that store as its parents.
When an upgrade brings a store without them, CRI-O cannot list any image, and such an image cannot
start. Its records and remaining layers are moved aside, under containers-storage's own locks, and
come back when the parents are back, as after a rollback. Nothing is deleted unless asked for.
Containers stay; one that cannot start any more is named.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from importer.device.aside import ASIDE, bring_back, put_aside, settle
from importer.device.folder import Folder, opened_below_mounts, printable
from importer.device.lock import LOCKS, locked
from importer.device.lowers import name_lowers_anew
from importer.device.records import (
    ALL_LAYERS,
    CONTAINERS,
    IMAGES,
    LAYERS,
    Chains,
    recorded,
)
from importer.device.stores import DeviceStores
from importer.device.treatment import Treatment, called, treatment

ROOT = Path("/var/lib/containers/storage")


@dataclass(frozen=True)
class Healed:
    """The result of a healing; with `dry_run` nothing was changed.

    `linked`: layers whose parents have other links by now. `deleted`: all that was aside.
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
            f"{called(one.image)}: {goes}, since no store has its layer {one.missing[:12]}"
            for one in done.broken
        ]
        lines += [f"layer {one}: {goes}" for one in done.layers]
        lines += [
            f"{called(one)}: {would}brought back" for each in done.returning for one in each.images
        ]
        lines += [f"layer {one}: names its parents' links of today" for one in self.linked]
        lines += [
            f"container {one[:12]} cannot start, since its image's layers are gone; it stays, and"
            " so do its files: `podman rm` or `crictl rm` removes it"
            for one in done.stuck
        ]
        lines += [f"in doubt: {one}" for one in done.doubts] if lines else []
        lines += [f"all that is aside: {would}deleted"] if self.deleted else []
        return [printable(one) for one in lines] or ["nothing is broken"]

    def document(self) -> Dict[str, object]:
        """Return the same for JSON."""
        done = self.done
        return {
            "dry_run": self.dry_run,
            "images": [
                {
                    "image_id": one.image.id,
                    "names": list(one.image.names),
                    "missing_layer": one.missing,
                }
                for one in done.broken
            ],
            "layers": list(done.layers),
            "moved_aside": not done.doubts and not self.dry_run,
            "returned": [
                {"image_id": one.id, "names": list(one.names)}
                for each in done.returning
                for one in each.images
            ],
            "linked_layers": list(self.linked),
            "stuck_containers": list(done.stuck),
            "doubts": list(done.doubts),
            "deleted": self.deleted,
        }


def heal_storage(
    root: Path,
    stores: DeviceStores,
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
        storage = opened_below_mounts(root)
        if storage is None:
            return Healed(Treatment(), dry_run)
        held.callback(storage.close)
        if storage.status(IMAGES) is None and storage.status(LAYERS) is None:
            return Healed(Treatment(), dry_run)
        for name in LOCKS:
            held.enter_context(locked(storage, name, timeout, written=not dry_run))
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
        put_aside(
            storage, {IMAGES: [one.image.id for one in plan.broken], LAYERS: list(plan.layers)}
        )
    for one in plan.returning:
        bring_back(storage, one.here, {IMAGES: list(one.images), LAYERS: list(one.layers)})


def _linked(storage: Folder, stores: DeviceStores) -> Tuple[str, ...]:
    chains = Chains(recorded(storage, ALL_LAYERS), stores.layers)
    containers = recorded(storage, CONTAINERS).values()
    tops = {layer for one in containers for layer in one.below}
    folders = [store.folder for store in stores.found]
    return tuple(name_lowers_anew(storage, chains, folders, but=tops))
