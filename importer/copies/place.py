"""Parse the value of --to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from importer.copies.directory import DirectoryCopy
from importer.copies.image import ImageCopy
from importer.copies.tar_file import TarCopy
from layers.oci.reference import Reference

if TYPE_CHECKING:
    from typing import BinaryIO

type AnyCopy = DirectoryCopy | TarCopy | ImageCopy

_TAR, _STDOUT, _IMAGES = "tar:", "tar:-", ("oci:", "oci-archive:")


def parse_place(
    text: str, stdout: BinaryIO, *, update: bool, days: int | None, jobs: int
) -> AnyCopy:
    """Return what writes to DIR, tar:FILE, tar:-, oci:DIR[:TAG] or oci-archive:FILE.

    A tar for `-` goes to `stdout`. `update` allows to write over an earlier copy. `days` is that of
    a directory's `Components`. Raise LayerError for an image's place without a path.
    """
    if text == _STDOUT:
        return TarCopy(text, stdout, update=update)
    if text.startswith(_TAR):
        return TarCopy(text, Path(text.removeprefix(_TAR)), update=update)
    if text.startswith(_IMAGES):
        return ImageCopy(text, Reference.parse(text), jobs)
    return DirectoryCopy(Path(text), update=update, days=days)
