"""`image-store report`: write one HTML page that needs no other file and no network."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from markupsafe import Markup

from importer.errors import os_faults
from importer.files.presence import mode_of
from importer.files.replacement import Replacement
from importer.render.table import Block, Shown, Text
from importer.store.image import ImageView
from layers.frozen import frozen
from layers.words import several, shortened, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.imagestore.diff import Changed
    from importer.imagestore.report_data import ReportData


STDOUT = Path("-")
_MOST_COMMAND = 80
_NUMBERS = ("Layers", "Shared", "Hidden", "Flattening it saves", "Files")


@frozen
class Written(Shown):
    """The file of the report, or STDOUT, for the command's answer."""

    path: Path
    data: ReportData

    def blocks(self) -> list[Block]:
        """Return the file's path, or the page itself for STDOUT."""
        if self.path == STDOUT:
            return [Text(page(self.data).rstrip("\n"), verbatim=True)]
        return [Text(str(self.path))]

    def document(self) -> dict[str, object]:
        data = self.data
        return {
            "report": self.path,  # the file that was written, or `-`
            "branch": data.store.branch,  # the branch
            "commit": data.store.commit.checksum,  # its commit
            "size": data.size,  # bytes of all files of the store's layers and artifacts
            # bytes that the images would take if none shared a layer
            "unshared_size": data.unshared_size,
            # bytes of the files that are hidden in every image: saved if all images are flattened
            "flattening_saves": data.saved,
            # a list
            "images": [
                {
                    "image_id": space.image.id,  # podman's image id
                    "names": space.image.names,  # the names in the store
                    "size": space.size,  # bytes of the image's files
                    "shared_size": space.shared,  # bytes that other images need as well
                    "hidden_size": space.hidden,  # bytes that a layer above deletes or replaces
                    # hidden bytes whose content no other image has: saved if this image alone is
                    # flattened
                    "flattening_saves": space.saved,
                }
                for space in data.images
                if isinstance(space.image, ImageView)
            ],
            "artifacts": data.store.artifacts,  # [Artifact]: a list
        }


def write_report(data: ReportData, path: Path) -> Written:
    """Write the page. A file gets its name when it is complete. A device or pipe, such as
    /dev/stdout, is written to, and not replaced."""
    if path == STDOUT:
        return Written(path, data)
    content = page(data).encode()
    mode = mode_of(path)
    if mode is not None and not S_ISREG(mode):
        with os_faults(f"{path} cannot be written"):
            path.write_bytes(content)
    else:
        with Replacement(path, content) as new:
            new.publish()
    return Written(path, data)


def page(data: ReportData) -> str:
    """Return the HTML document, made of the templates in page/.

    Whatever comes out of an image is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # slow to load, rarely needed

    environment = Environment(
        loader=PackageLoader("importer.imagestore", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "size": size,
        "several": several,
        "counted": "{:,}".format,
        "shortened": partial(shortened, most=_MOST_COMMAND),
        "first_user": _first_user,
        "difference": _difference,
    }
    environment.globals["numbers"] = _NUMBERS
    return environment.get_template("report.html").render(_values(data))


def _values(data: ReportData) -> dict[str, object]:
    # No "</script>" can be in the JSON, nor the beginning of a comment.
    tree = json.dumps(data.tree(), separators=(",", ":")).replace("<", "\\u003c")
    return {
        "store": data.store,
        "when": datetime.fromtimestamp(data.store.commit.message.timestamp, UTC),
        "figures": _figures(data),
        "images": data.images,
        "shared_layers": [layer for layer in data.layers if len(layer.users) > 1],
        "directories": data.directories(),
        "diff": data.diff,
        "tree": Markup(tree),  # noqa: S704 - JSON without "<", in a script that is not run
    }


def _figures(data: ReportData) -> list[tuple[str, str]]:
    """Return the figures at the head of the page, each with what it counts."""
    store = data.store
    counts = [(len(store.images), "image"), (len(store.layers), "layer")]
    counts += [(len(store.artifacts), "artifact")] if store.artifacts else []
    return [
        *((f"{count:,}", noun if count == 1 else f"{noun}s") for count, noun in counts),
        (size(data.size), "in files, each layer once"),
        (size(data.unshared_size - data.size), "saved by sharing layers"),
        (size(data.saved), "flattening all would save"),
    ]


def _first_user(names: Sequence[str]) -> str:
    if not names:
        return "no image"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _difference(change: Changed) -> str:
    files = change.files
    return (
        f"{several(change.layers, 'new layer')}; {several(len(files.added), 'file')} added,"
        f" {len(files.changed):,} changed, {len(files.removed):,} removed"
    )
