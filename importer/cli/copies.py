"""Make a StoreCopy of --to, and find the repo that such an import uses as its cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.options.result import STDOUT, CopyOptions, StoreContents
from importer.cli.options.work import Jobs
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.cli.options.given import Given
    from importer.run.copied import StoreCopy

_REPO = "import-image/repo"
_TAR, _IMAGES = "tar:", ("oci:", "oci-archive:")


def copy_of(given: Given) -> StoreCopy | None:
    """Return what writes to DIR, tar:FILE, tar:-, oci:DIR[:TAG] or oci-archive:FILE, None without
    --to.

    Raise click.UsageError for a place that cannot have the store, LayerError for an image's place
    without a path.
    """
    options = given(CopyOptions)
    to = options.to
    if to is None:
        return None
    from importer.copies.directory import DirectoryCopy
    from importer.copies.image import ImageCopy
    from importer.copies.tar_file import TarCopy
    from layers.oci.reference import Reference

    if to == STDOUT and sys.stdout.isatty():
        raise click.UsageError(f"--to={STDOUT} writes no tar to a terminal: name a file, or a pipe")
    if not to.startswith((_TAR, *_IMAGES)):
        return DirectoryCopy(Path(to), update=options.update, days=options.component_days)
    if options.component_days is not None:
        raise click.UsageError("--component-days is not for this --to: only DIR has components")
    if given(StoreContents).whiteouts is Whiteouts.QUOTED:
        raise click.UsageError("--whiteouts=quoted is not for this --to: only DIR has whiteouts")
    if to.startswith(_IMAGES):
        return ImageCopy(to, Reference.parse(to), given(Jobs).count)
    file = sys.stdout.buffer if to == STDOUT else Path(to.removeprefix(_TAR))
    return TarCopy(to, file, update=options.update)


def repo_of(given: Given) -> Path:
    """Return the repo that the command line names, or else the user's cache."""
    return given(CopyOptions).repo or _cache(os.environ) / _REPO


def _cache(environment: Mapping[str, str]) -> Path:
    """Return the user's cache directory. A relative XDG_CACHE_HOME is ignored, as the XDG Base
    Directory Specification demands."""
    home = Path(environment.get("XDG_CACHE_HOME", ""))
    return home if home.is_absolute() else Path(environment.get("HOME", "/")) / ".cache"
