#!/usr/bin/python3
"""Remove images from a device's own storage whose layers went with the last OS release.

An image that was pulled beside a read-only store can have layers of that store as its parents.
When an upgrade brings a store without them, CRI-O cannot list any image, and such an image cannot
start. This program removes the records of these images and of their remaining layers, as
`podman rmi -f` does, under containers-storage's own locks. It deletes no container: a container
that cannot start any more is named, and keeps its files.

The file needs nothing but Python 3.9's standard library, so that it can be copied to a device.

Source: github.com/containers/storage, layers.go, images.go, containers.go (records),
pkg/lockfile (locks; the last writer's 64 bytes), drivers/overlay/overlay.go (directories).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

Record = Dict[str, Any]

ROOT = Path("/var/lib/containers/storage")
# Where distributions and osbuild have stores, whether or not a configuration names them. A store
# that is looked into for nothing only keeps an image that could go.
USUAL_STORES = ("/usr/lib/containers/storage", "/usr/share/containers/storage")
CONFIGURATIONS = (
    "usr/share/containers/storage.conf",
    "usr/share/containers/storage.conf.d/*.conf",
    "etc/containers/storage.conf",
    "etc/containers/storage.conf.d/*.conf",
    "etc/crio/crio.conf",
    "etc/crio/crio.conf.d/*",
)
_PATH = re.compile(r"""["'=](/[^"'\s,\]]+)""")
# Layers and containers that need not outlive a boot have records of their own.
_LAYERS = ("layers.json", "volatile-layers.json")
_CONTAINERS = ("containers.json", "volatile-containers.json")
# containers-storage takes them in this order, too (store.go).
_LOCKS = ("overlay-layers/layers.lock", "overlay-images/images.lock")
_LAST_WRITER_BYTES = 64
# Of a list of layers, images or containers: of a hundred thousand images, say.
_MOST_BYTES = 64 << 20


class HealError(Exception):
    """The storage cannot be read or written: why, and what to do."""


@dataclass(frozen=True)
class Broken:
    """An image whose layers are gone: its id and names, and the layer that is in no store."""

    id: str
    names: Tuple[str, ...]
    missing: str

    def __str__(self) -> str:
        called = f" ({', '.join(self.names)})" if self.names else ""
        return f"image {self.id[:12]}{called}: no store has its layer {self.missing[:12]}"


@dataclass(frozen=True)
class Healed:
    """The images and layer ids that were removed, or would be; `stuck` are containers that stay."""

    images: Tuple[Broken, ...]
    layers: Tuple[str, ...]
    stuck: Tuple[str, ...]
    dry_run: bool

    def lines(self) -> List[str]:
        """Return what to tell people, a line each."""
        verb = "would remove" if self.dry_run else "removed"
        lines = [f"{verb} {image}" for image in self.images]
        lines += [f"{verb} layer {layer}" for layer in self.layers]
        lines += [
            f"container {one[:12]} cannot start, since its image's layers are gone; it stays, and"
            " so do its files: `podman rm` or `crictl rm` removes it"
            for one in self.stuck
        ]
        return lines or ["nothing is broken"]

    def document(self) -> Record:
        """Return the same for JSON."""
        return {
            "dry_run": self.dry_run,
            "images": [
                {"image_id": one.id, "names": list(one.names), "missing_layer": one.missing}
                for one in self.images
            ],
            "layers": list(self.layers),
            "stuck_containers": list(self.stuck),
        }


def heal_storage(
    root: Path, stores: Iterable[Path], *, dry_run: bool = False, timeout: float = 60.0
) -> Healed:
    """Remove the broken images of the storage at `root`, given its additional image stores.

    Raise HealError if a record cannot be read, or if another program holds a lock for
    `timeout` seconds. Then nothing was removed, or the next call removes the rest.
    """
    if not (root / "overlay-images" / "images.json").exists():
        return Healed((), (), (), dry_run)
    elsewhere = {
        one["id"] for store in stores for one in _records(store / "overlay-layers", _LAYERS)
    }
    with ExitStack() as held:
        for name in _LOCKS:
            held.enter_context(_locked(root / name, timeout, written=not dry_run))
        found = _diagnosis(root, elsewhere, dry_run)
        if not dry_run:
            _remove_images(root, {image.id for image in found.images})
            _remove_layers(root, set(found.layers))
    return found


def _diagnosis(root: Path, elsewhere: Set[str], dry_run: bool) -> Healed:
    layers = {one["id"]: one for one in _records(root / "overlay-layers", _LAYERS)}
    containers = _records(root / "overlay-containers", _CONTAINERS)
    images = []
    for one in _records(root / "overlay-images", ("images.json",)):
        tops = [one.get("layer") or "", *(one.get("mapped-layers") or [])]
        missing = next(filter(None, (_missing(top, layers, elsewhere) for top in tops)), None)
        if missing:
            images.append(Broken(one["id"], tuple(one.get("names") or ()), missing))
    stuck = [one for one in containers if _missing(one.get("layer") or "", layers, elsewhere)]
    needed = {layer for one in stuck for layer in _chain(one.get("layer") or "", layers)}
    broken = [one for one in layers if _missing(one, layers, elsewhere) and one not in needed]
    return Healed(tuple(images), tuple(broken), tuple(one["id"] for one in stuck), dry_run)


def _chain(layer: str, layers: Dict[str, Record]) -> Iterator[str]:
    """Yield a layer and its parents, as far as the storage has them itself."""
    seen: Set[str] = set()
    while layer in layers and layer not in seen:
        seen.add(layer)
        yield layer
        layer = layers[layer].get("parent") or ""


def _missing(layer: str, layers: Dict[str, Record], elsewhere: Set[str]) -> Optional[str]:
    """Return the first layer of a chain that is in no store, or None if the chain is whole."""
    last = layer
    for one in _chain(layer, layers):
        last = layers[one].get("parent") or ""
    return last if last and last not in layers and last not in elsewhere else None


def _remove_images(root: Path, ids: Set[str]) -> None:
    """Remove the records first, so that no reader looks for files that are gone."""
    if ids:
        _drop(root / "overlay-images" / "images.json", ids)
    for one in ids:
        _remove_tree(root / "overlay-images" / one)


def _remove_layers(root: Path, ids: Set[str]) -> None:
    """Remove the files first: a layer whose record is still there is removed by the next call."""
    for one in ids:
        link = root / "overlay" / one / "link"
        if link.exists():
            (root / "overlay" / "l" / link.read_text(encoding="utf-8")).unlink(missing_ok=True)
        _remove_tree(root / "overlay" / one)
        (root / "overlay-layers" / f"{one}.tar-split.gz").unlink(missing_ok=True)
        _remove_tree(root / "overlay-layers" / one)
    for name in _LAYERS if ids else ():
        _drop(root / "overlay-layers" / name, ids)


def _remove_tree(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def _drop(path: Path, ids: Set[str]) -> None:
    """Write a file of records anew without these, all at once."""
    if not path.exists():
        return
    kept = [one for one in _read(path) if one["id"] not in ids]
    part = path.with_name(f".{path.name}.heal")
    with part.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(kept, file, separators=(",", ":"), ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _records(directory: Path, names: Iterable[str]) -> List[Record]:
    return [one for name in names if (directory / name).exists() for one in _read(directory / name)]


def _read(path: Path) -> List[Record]:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise HealError(f"{path} has more than {_MOST_BYTES} bytes; see `podman system check`")
    try:
        found = json.loads(data or b"null")
    except ValueError as error:
        raise HealError(f"{path} is not JSON: {error}; see `podman system check`") from None
    if found is None:  # Go writes an empty list so
        return []
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and one.get("id") for one in found
    ):
        raise HealError(f"{path} is not a list of records; see `podman system check`")
    return found


@contextmanager
def _locked(path: Path, timeout: float, *, written: bool) -> Iterator[None]:
    """Hold a lock of containers-storage: fcntl(2), F_SETLK.

    `written` tells the other programs to read the records again.
    """
    end = time.monotonic() + timeout
    with path.open("r+b") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise HealError(
                        f"another program holds {path} for {timeout:g} seconds; try again later"
                    ) from None
                time.sleep(0.05)
        yield
        if written:
            file.write(os.urandom(_LAST_WRITER_BYTES))


def configured_stores(system: Path = Path("/")) -> List[Path]:
    """Return every store that a configuration of podman or CRI-O names, and the usual ones.

    Each path in a configuration counts that is a store, whatever key it stands under: a store
    too many does no harm.
    """
    named = list(USUAL_STORES)
    for pattern in CONFIGURATIONS:
        for path in sorted(system.glob(pattern)):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
            named += _PATH.findall(text)
    places = (system / one.lstrip("/") for one in dict.fromkeys(named))
    return [one for one in places if (one / "overlay-layers" / "layers.json").exists()]


def main(arguments: Optional[List[str]] = None) -> int:
    """Heal the storage that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help=f"the storage; default {ROOT}")
    parser.add_argument(
        "--store",
        type=Path,
        action="append",
        help="an additional image store; default: all that podman's and CRI-O's configuration name",
    )
    parser.add_argument("--dry-run", "-n", action="store_true", help="only tell what is broken")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds to wait for a lock; default 60"
    )
    given = parser.parse_args(arguments)
    stores = given.store if given.store is not None else configured_stores()
    try:
        healed = heal_storage(given.root, stores, dry_run=given.dry_run, timeout=given.timeout)
    except (HealError, OSError) as error:
        sys.stderr.write(f"heal: {error}\n")
        return 1
    text = json.dumps(healed.document(), indent=2) if given.json else "\n".join(healed.lines())
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
