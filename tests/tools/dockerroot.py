"""Docker's own store, written to its format from what podman has unpacked.

Format: github.com/moby/moby image/fs.go (imagedb), image/store.go, layer/filestore.go
(layerdb), reference/store.go (repositories.json) and daemon/graphdriver/overlay2. Both
engines unpack a layer alike, and both keep its tar-split record.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.tools.process import run
from tests.tools.store import Record, store_images, store_layers


def docker_from_podman(graphroot: Path, dest: Path, names: Mapping[str, Mapping[str, str]]) -> Path:
    """A Docker root with all of the store's images.

    `names` is the content of repositories.json: repository → reference → image id.
    """
    home = dest / "image" / "overlay2"
    content = home / "imagedb" / "content" / "sha256"
    content.mkdir(parents=True)
    (dest / "overlay2" / "l").mkdir(parents=True)
    (dest / "containers").mkdir()
    document = {"Repositories": {repo: dict(tags) for repo, tags in names.items()}}
    (home / "repositories.json").write_text(json.dumps(document))
    layers = {layer["id"]: layer for layer in store_layers(graphroot)}
    for image in store_images(graphroot):
        config = _config(graphroot, image)
        (content / image["id"]).write_bytes(config)
        _write_layers(graphroot, dest, _chain(layers, image.get("layer", "")))
    return dest


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """image-spec config.md, "Layer ChainID": the hex digits of each, base first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        above = f"sha256:{chain[-1]} {diff_id}" if chain else ""
        digest = hashlib.sha256(above.encode()).hexdigest()
        chain.append(digest if chain else diff_id.partition(":")[2])
    return chain


def layer_home(root: Path, diff_ids: Sequence[str]) -> Path:
    """The topmost layer's directory in the layerdb."""
    return root / "image" / "overlay2" / "layerdb" / "sha256" / chain_ids(diff_ids)[-1]


def layer_diff(root: Path, diff_ids: Sequence[str]) -> Path:
    """The topmost layer's files."""
    return root / "overlay2" / (layer_home(root, diff_ids) / "cache-id").read_text() / "diff"


def _config(graphroot: Path, image: Record) -> bytes:
    folder = graphroot / "overlay-images" / str(image["id"])
    for path in folder.iterdir():
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == image["id"]:
            return data
    raise AssertionError(f"{folder} has no config")


def _chain(layers: Mapping[str, Record], top: str) -> list[Record]:
    found: list[Record] = []
    while top:
        found.append(layers[top])
        top = layers[top].get("parent", "")
    return found[::-1]


def _write_layers(graphroot: Path, root: Path, layers: Sequence[Record]) -> None:
    diff_ids: list[str] = []
    links: list[str] = []
    for layer in layers:
        diff_ids.append(layer["diff-digest"])
        home = layer_home(root, diff_ids)
        if not home.exists():
            _write_layer(graphroot, root, layer, diff_ids, links)
        cache = (home / "cache-id").read_text()
        links.insert(0, (root / "overlay2" / cache / "link").read_text())


def _write_layer(
    graphroot: Path, root: Path, layer: Record, diff_ids: Sequence[str], links: Sequence[str]
) -> None:
    home = layer_home(root, diff_ids)
    home.mkdir(parents=True)
    # The name is drawn at random, and none of the layer's ids.
    cache = hashlib.sha256(f"cache {home.name}".encode()).hexdigest()
    (home / "cache-id").write_text(cache)
    (home / "diff").write_text(diff_ids[-1])
    (home / "size").write_text("12345")
    if len(diff_ids) > 1:
        (home / "parent").write_text(f"sha256:{chain_ids(diff_ids[:-1])[-1]}")
    record = graphroot / "overlay-layers" / f"{layer['id']}.tar-split.gz"
    (home / "tar-split.json.gz").write_bytes(record.read_bytes())
    folder = root / "overlay2" / cache
    folder.mkdir()
    run(["cp", "-a", graphroot / "overlay" / layer["id"] / "diff", folder / "diff"])
    link = cache[:26].upper()
    (folder / "link").write_text(link)
    (root / "overlay2" / "l" / link).symlink_to(f"../{cache}/diff")
    if links:
        (folder / "lower").write_text(":".join(f"l/{one}" for one in links))
        (folder / "work").mkdir()
