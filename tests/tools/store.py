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

    Only files of the layer's directory and the links in `l/` decide, as in the driver's get():
    `lower-layers` since containers-storage 1.63, `lower` before. Both have to say the same.
    """
    layer = top_layer(root, identity)
    home = root / "overlay"
    folder = home / layer
    lower = folder / "lower"
    parts = lower.read_text().split(":") if lower.exists() else []
    own = f"l/{(folder / 'link').read_text()}"
    found = [_resolve(home, part) for part in [own, *parts]]
    by_id = folder / "lower-layers"
    if by_id.exists():
        below = [(home / one / "diff").resolve() for one in by_id.read_text().split(":")]
        assert found[1:] == below
    return found


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
    if not link.is_symlink() or not found.is_dir() or found.name != "diff":
        raise AssertionError(f"{link} is no link to a layer's diff directory")
    return found


def _records(path: Path) -> list[Record]:
    records: list[Record] = json.loads(path.read_bytes())
    return records
