"""A store of a commit as files, to be altered and committed again by `ostree` itself."""

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layers.storage.image_record import big_data_file
from tests.tools.ostreerepo import checkout, ostree
from tests.tools.process import run
from tests.tools.store import store_images, store_layers

Record = dict[str, Any]
PREFIX = "usr/lib/containers/storage"


@dataclass(frozen=True)
class LooseStore:
    """A checked-out store, whiteouts still quoted; `root` is where the commit's root is."""

    root: Path

    @property
    def path(self) -> Path:
        """The store itself."""
        return self.root / PREFIX

    def diff(self, layer: str) -> Path:
        """A layer's tree."""
        return self.path / "overlay" / layer / "diff"

    def split(self, layer: str) -> Path:
        """A layer's tar-split file."""
        return self.path / "overlay-layers" / f"{layer}.tar-split.gz"

    def document(self, image: str, key: str) -> Path:
        """An image's big data."""
        return self.path / "overlay-images" / image / big_data_file(key)

    def edit_layer(self, layer: str, **fields: Any) -> None:
        """Changes a layer's record; None removes a field."""
        path = self.path / "overlay-layers" / "layers.json"
        path.write_text(json.dumps(_edited(store_layers(self.path), layer, fields)))

    def edit_image(self, image: str, **fields: Any) -> None:
        """Changes an image's record; None removes a field."""
        path = self.path / "overlay-images" / "images.json"
        path.write_text(json.dumps(_edited(store_images(self.path), image, fields)))

    def edit_split(self, layer: str, edit: Callable[[list[Record]], None]) -> None:
        """Changes the lines of a tar-split file."""
        packed = self.split(layer).read_bytes()
        lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
        edit(lines)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self.split(layer).write_bytes(gzip.compress(text.encode(), mtime=0))


def _edited(records: list[Record], identity: str, fields: Record) -> list[Record]:
    (record,) = [one for one in records if one["id"] == identity]
    for key, value in fields.items():
        name = key.replace("_", "-")
        if value is None:
            del record[name]
        else:
            record[name] = value
    return records


def loose(repo: Path, branch: str, where: Path) -> LooseStore:
    """Checks the store out, as root."""
    return LooseStore(checkout(repo, branch, where, passthrough_whiteouts=False))


def copy(store: LooseStore, where: Path) -> LooseStore:
    """The same once more, to be altered: no file is shared."""
    run(["cp", "--archive", store.root, where])
    return LooseStore(where)


def commit(store: LooseStore, repo: Path, branch: str) -> None:
    """Commits what is there, as a store that import-image made would be; removes the files."""
    metadata = f"--add-metadata-string=import-image.prefix=/{PREFIX}"
    ostree(repo, "commit", f"--branch={branch}", metadata, f"--tree=dir={store.root}")
    shutil.rmtree(store.root)
