"""Storages and stores as containers-storage's overlay driver lays them out, without running it.

tests/device/test_upgrade.py has podman make and judge some of the same.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from importer.device.configured import Configured
from importer.device.heal import heal_storage
from importer.device.treatment import Treatment
from tests.tools.store import Record, store_images, store_layers


def digits(text: str) -> str:
    """An id."""
    return hashlib.sha256(text.encode()).hexdigest()


def link(text: str) -> str:
    """The name of a link below `overlay/l`."""
    return "".join(chr(ord("A") + int(digit, 16)) for digit in digits(text)[:26])


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@dataclass(frozen=True)
class OwnStorage:
    """A graph root, or an additional store, at `root`."""

    root: Path

    @classmethod
    def made(cls, root: Path) -> "OwnStorage":
        for kind, name in (("layers", "layers"), ("images", "images"), ("containers", "")):
            write(root / f"overlay-{kind}/{kind}.json", [])
            if name:
                (root / f"overlay-{kind}/{name}.lock").touch()
        (root / "overlay/l").mkdir(parents=True)
        return cls(root)

    @property
    def layers(self) -> dict[str, Record]:
        return {one["id"]: one for one in store_layers(self.root)}

    @property
    def images(self) -> dict[str, Record]:
        return {one["id"]: one for one in store_images(self.root)}

    def add_layer(self, one: str, parent: str = "", link: str = "", lower: str = "") -> None:
        """A layer whose only file says its id."""
        records = [*self.layers.values(), {"id": one, "parent": parent} if parent else {"id": one}]
        write(self.root / "overlay-layers/layers.json", records)
        directory = self.root / "overlay" / one
        (directory / "diff").mkdir(parents=True)
        (directory / "diff/name").write_text(one)
        (directory / "link").write_text(link)
        if lower:
            (directory / "lower").write_text(lower)
        (self.root / "overlay/l" / link).symlink_to(f"../{one}/diff")
        (self.root / f"overlay-layers/{one}.tar-split.gz").write_text(one)

    def add_image(self, one: str, layer: str, *names: str) -> None:
        """An image, which takes its names from the others."""
        for other in (records := self.images).values():
            other["names"] = [name for name in other["names"] if name not in names]
        records[one] = {"id": one, "names": list(names), "layer": layer}
        write(self.root / "overlay-images/images.json", list(records.values()))
        write(self.root / "overlay-images" / one / "manifest", one)

    def add_container(self, one: str, layer: str, name: str = "containers.json") -> None:
        write(self.root / "overlay-containers" / name, [{"id": one, "layer": layer}])

    def lower(self, layer: str) -> str:
        """The file `lower` of a layer above this one, as the driver's getLower() makes it."""
        directory = self.root / "overlay" / layer
        own = f"l/{(directory / 'link').read_text()}"
        further = directory / "lower"
        return f"{own}:{further.read_text()}" if further.exists() else own


def trees(root: Path, layer: str, *stores: Path) -> list[str]:
    """What the layers say that the driver mounts for this one, the nearest first."""
    places = (root, *stores)
    home = next(one for one in places if (one / "overlay" / layer / "diff").is_dir())
    lower = home / "overlay" / layer / "lower"
    names = lower.read_text().split(":") if lower.exists() else []
    found = [(home / "overlay" / layer / "diff/name").read_text()]
    for name in names:
        paths = [place / "overlay" / name / "name" for place in places]
        found.append(next(path for path in paths if path.exists()).read_text())
    return found


def healed(root: Path, *stores: Path, **how: Any) -> Treatment:
    """heal, given these stores alone."""
    named = {str(path.absolute()): "the command line" for path in stores}
    return heal_storage(root, Configured(named, usual=()), **how)
