"""A containers-storage tree, read as podman's overlay driver reads it."""

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def store_images(root: Path) -> list[Record]:
    """The records of `overlay-images/images.json`."""
    return _records(root / "overlay-images" / "images.json")


def store_layers(root: Path) -> list[Record]:
    """The records of `overlay-layers/layers.json`."""
    return _records(root / "overlay-layers" / "layers.json")


def store_lowers(root: Path, identity: str) -> list[Path]:
    """The directories to mount, nearest first, for an image's or a layer's id.

    Only the files `link` and `lower` and the links in `l/` decide, as in the driver's get().
    """
    layer = top_layer(root, identity)
    home = root / "overlay"
    folder = home / layer
    lower = folder / "lower"
    parts = lower.read_text().split(":") if lower.exists() else []
    own = f"l/{(folder / 'link').read_text()}"
    return [_resolve(home, part) for part in [own, *parts]]


def top_layer(root: Path, identity: str) -> str:
    """The layer of an image's id, or the id itself where it is a layer's."""
    for image in store_images(root):
        if image["id"] == identity:
            return str(image["layer"])
    if any(layer["id"] == identity for layer in store_layers(root)):
        return identity
    raise AssertionError(f"{root} has neither an image nor a layer {identity}")


def _resolve(home: Path, part: str) -> Path:
    link = home / part
    found = link.resolve()
    if not link.is_symlink() or not found.is_dir() or found.name not in ("diff", "blocker"):
        raise AssertionError(f"{link} is no link to a layer's diff directory, nor to its blocker")
    return found


def _records(path: Path) -> list[Record]:
    records: list[Record] = json.loads(path.read_bytes())
    return records
