"""Look for faults of a device's stores and of its configuration: each check yields symptoms."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence, Tuple

from importer.device.configured import BOOTC, NEWER, ConfigurationFiles, Configured
from importer.device.deletions import returned_files
from importer.device.folder import DeviceError, Folder
from importer.device.lowers import link_of, lower_tree, names_by
from importer.device.overlayfs import carries_containers, counts_erofs, is_on_overlayfs
from importer.device.records import (
    ALL_LAYERS,
    IMAGES,
    LAYERS,
    Chains,
    DeviceStores,
    Recorded,
    recorded,
)
from layers.storage.holders import Holder, first_missing

# An overlayfs cannot be id-mapped; with this, containers-storage does not try (1.46 and later).
_NO_IDMAP = "_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes"
_UNITS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
_CONTAINERS_CONF = ("etc/containers/containers.conf", "usr/share/containers/containers.conf")
# Each program's executable, and the files that set its environment.
_ENVIRONMENTS: Dict[str, Tuple[str, ...]] = {
    "podman": (
        "usr/bin/podman",
        *(f"{conf}{end}" for conf in _CONTAINERS_CONF for end in ("", ".d")),
    ),
    "CRI-O": (
        "usr/bin/crio",
        "etc/sysconfig/crio",
        *(f"{units}/crio.service{end}" for units in _UNITS for end in ("", ".d")),
    ),
}
_ENFORCING = "sys/fs/selinux/enforce"
# The types of container-selinux that every container may read.
_READABLE = frozenset({"container_ro_file_t", "container_share_t", "container_file_t"})
_DIRECTORIES = ("overlay", "overlay-images", "overlay-layers")
# Of one store: damage is often the same all over.
_MOST_DAMAGES = 10


@dataclass(frozen=True)
class Symptom:
    """Something wrong: its `kind` for programs, the path it is about, and what to do."""

    # `unreadable`, `replaced-list`, `unlisted-store`, `damaged-store`, `deleted-files`,
    # `overlay-depth`, `labels`, `user-namespaces`, `broken-image` or `stuck-container`
    kind: str
    where: str  # the store, the storage or `configuration`
    problem: str  # what is wrong, for people
    advice: str  # what to do about it


def unreadable(where: str, problem: str) -> Symptom:
    return Symptom("unreadable", where, problem, "see to it")


def checked(where: str, check: Iterator[Symptom]) -> Iterator[Symptom]:
    """Yield the symptoms that a check finds; a check that fails is a symptom, too."""
    try:
        yield from check
    except DeviceError as error:
        yield unreadable(where, str(error))


def replaced(configured: Configured) -> Iterator[Symptom]:
    for path, drop_in in configured.replaced.items():
        yield Symptom(
            "replaced-list",
            path,
            f"{configured.named[path]} names the store, but the list in {drop_in} replaces that for"
            f" {NEWER}",
            "add {append = true} to the list in that file",
        )


def unlisted(store: Folder, read: bool, configured: Configured) -> Iterator[Symptom]:
    """Yield a symptom for a usual store with images that no configuration names.

    bootc reads its own without being told to.
    """
    usual = any(str(store.path).endswith(path) for path in configured.usual if path != BOOTC)
    if usual and not read and recorded(store, [IMAGES]):
        yield Symptom(
            "unlisted-store",
            str(store.path),
            "no configuration names the store, so neither podman nor CRI-O sees its images",
            "name it in additionalimagestores of /etc/containers/storage.conf",
        )


def damaged(store: Folder, stores: DeviceStores) -> Iterator[Symptom]:
    all_problems = damages(store, stores)
    problems = list(islice(all_problems, _MOST_DAMAGES))
    if next(all_problems, None) is not None:
        problems[-1] = f"{problems[-1]}; and more of the kind"
    for problem in problems:
        yield Symptom(
            "damaged-store",
            str(store.path),
            problem,
            "deploy the operating system anew, after `ostree fsck` here and `image-store verify`"
            " where it is built",
        )


def too_deep(store: Folder) -> Iterator[Symptom]:
    if not is_on_overlayfs(store) or carries_containers(store):
        return
    release = os.uname().release
    advice = (
        f"install another kernel: Linux {release} counts the EROFS below composefs, too"
        if counts_erofs(release)
        else "take the overlay above the store away: `systemd-sysext unmerge`, or a reboot after"
        " `bootc usr-overlay`, `ostree admin unlock` or `rpm-ostree usroverlay`"
    )
    yield Symptom(
        "overlay-depth",
        str(store.path),
        "no container of its images can start: Linux stacks two file systems at most, and the store"
        " is on two already",
        advice,
    )


def labels(store: Folder, system: Path) -> Iterator[Symptom]:
    files = ConfigurationFiles(system)
    if (files.read(_ENFORCING) or b"").strip() != b"1":
        return
    trees = [f"overlay/{layer}/diff" for layer in list(recorded(store, [LAYERS]))[:1]]
    present = {store.label(path) or "no label" for path in (*_DIRECTORIES, *trees)}
    strange = sorted(label for label in present if _READABLE.isdisjoint(label.split(":")))
    if strange:
        yield Symptom(
            "labels",
            str(store.path),
            f"SELinux is enforcing, and the store has {', '.join(strange)}: containers may not read"
            " its files",
            "give it container_ro_file_t when it is imported (--selinux-label, --selinux-policy)",
        )


def returned(store: Folder) -> Iterator[Symptom]:
    for image, path in returned_files(store):
        yield Symptom(
            "deleted-files",
            str(store.path),
            f"containers of {image.label} see files that the image deletes, such as /{path}",
            "take the overlay above the store away (`systemd-sysext unmerge`), or use a store with"
            " --whiteouts=none",
        )


def user_namespaces(stores: Sequence[Folder], system: Path) -> Iterator[Symptom]:
    """Yield a symptom for each program that would id-map a store on an overlayfs."""
    overlays = [str(store.path) for store in stores if is_on_overlayfs(store)]
    files = ConfigurationFiles(system)
    for program, paths in _ENVIRONMENTS.items() if overlays else ():
        present = _lies(system / paths[0])
        if present and not any(_sets(files.read(path) or b"") for path in files.below(paths[1:])):
            yield Symptom(
                "user-namespaces",
                ", ".join(overlays),
                f"the store is on an overlayfs, and {program} cannot start a container with a user"
                " namespace over it",
                f"set {_NO_IDMAP} in the environment of {program}",
            )
    for doubt in dict.fromkeys(files.doubts):
        yield unreadable("configuration", doubt)


def _lies(program: Path) -> bool:
    try:
        program.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DeviceError(f"{program}: {error.strerror}") from None
    return True


def _sets(raw: bytes) -> bool:
    """Return whether a line that is no comment sets the variable."""
    lines = (line.strip() for line in raw.split(b"\n"))
    return any(_NO_IDMAP.encode() in line and line[:1] not in {b"#", b";"} for line in lines)


# Without it on a read-only file system, containers-storage sees no image, or fails (store.go).
_LOCKS = {
    "overlay-layers/layers.lock": "every command of podman fails",
    "overlay-images/images.lock": "podman and CRI-O see none of its images",
}


def damages(store: Folder, stores: DeviceStores) -> Iterator[str]:
    """Yield a line for each mismatch in a store; its layers may be in the other stores."""
    for lock, effect in _LOCKS.items():
        if store.status(lock) is None:
            yield f"{lock} is absent: {effect}"
    chains = Chains(recorded(store, ALL_LAYERS), stores.layers)
    for image in recorded(store, [IMAGES]).values():
        missing = chains.missing(image.below)
        if missing:
            yield f"no store has layer {missing[:12]} of {image.label}"
        if store.status(f"overlay-images/{image.id}") is None:
            yield f"the documents of {image.label} are absent"
    for layer in chains.own.values():
        for problem in _of_layer(store, layer, chains, stores.folders):
            yield f"layer {layer.id[:12]}: {problem}"


def _of_layer(
    store: Folder, layer: Recorded, chains: Chains, places: Sequence[Folder]
) -> Iterator[str]:
    if store.status(f"overlay/{layer.id}/diff") is None:
        yield "its tree is absent"
        return
    link = link_of(store, layer.id)
    target = store.target(f"overlay/l/{link}") if link else None
    if link is None:
        yield "its file link is absent, or names none"
    elif target != f"../{layer.id}/diff":
        yield f"its link {link} {f'leads to {target}' if target else 'is absent'}"
    below = {holder: names_by(store, layer.id, holder) for holder in Holder}
    for holder, names in below.items():
        missing = first_missing(names or (), lambda name: lower_tree(name, places) is not None)
        if missing:
            yield f"its file {holder.value} names {missing}, and no store has that"
            return
    by_id, by_link = ([_id(name, places) for name in below[holder] or ()] for holder in Holder)
    if below[Holder.IDS] is not None and by_id != by_link:
        yield "its files lower and lower-layers name different trees"
    parents = set(chains.chain(layer.id))
    for other in by_link:
        if other and other in chains.own and other not in parents:
            yield f"its file lower names layer {other[:12]}, which is none of its parents"


def _id(name: str, places: Sequence[Folder]) -> Optional[str]:
    tree = lower_tree(name, places)
    return tree[1].split("/")[1] if tree else None
