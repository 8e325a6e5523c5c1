"""Make a StoreCopy of --to, and find the repo that such an import uses as its cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.options.result import OptionalRepo, StoreContents
from importer.cli.options.store_copy import STDOUT, CopyOptions
from importer.cli.options.work import Jobs
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.cli.options.given import Given
    from importer.copies.place import AnyCopy

_REPO = "import-image/repo"


def copy_of(given: Given) -> AnyCopy | None:
    """Return where a copy of the store goes, None without --to.

    Raise click.UsageError for a place that cannot have the store.
    """
    options = given(CopyOptions)
    if options.to is None:
        return None
    from importer.copies.directory import DirectoryCopy
    from importer.copies.place import parse_place

    if options.to == STDOUT and sys.stdout.isatty():
        raise click.UsageError(f"--to={STDOUT} writes no tar to a terminal: name a file, or a pipe")
    place = parse_place(
        options.to,
        sys.stdout.buffer,
        update=options.update,
        days=options.component_days,
        jobs=given(Jobs).count,
    )
    if isinstance(place, DirectoryCopy):
        return place
    if options.component_days is not None:
        raise click.UsageError("--component-days is not for this --to: only DIR has components")
    if given(StoreContents).whiteouts is Whiteouts.QUOTED:
        raise click.UsageError("--whiteouts=quoted is not for this --to: only DIR has whiteouts")
    return place


def repo_of(given: Given) -> Path:
    """Return the repo that the command line names, or else the user's cache."""
    return given(OptionalRepo).repo or _cache(os.environ) / _REPO


def _cache(environment: Mapping[str, str]) -> Path:
    """Return the user's cache directory. A relative XDG_CACHE_HOME is ignored, as the XDG Base
    Directory Specification demands."""
    home = Path(environment.get("XDG_CACHE_HOME", ""))
    return home if home.is_absolute() else Path(environment.get("HOME", "/")) / ".cache"
