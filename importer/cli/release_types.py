"""What the options of import-release take, checked before anything is done."""

from __future__ import annotations

import re
from math import isnan
from typing import Any

import click

from importer.cache.branches import why_no_branch
from importer.cli.options import Branch
from importer.cli.types import NotEmpty
from layers.architecture import go_arch
from layers.errors import LayerError
from layers.release.release import Release

_ARCH = re.compile(r"[a-z0-9_]+")


class BranchTemplate(Branch):
    """A branch's name, which may hold `{arch}`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what cannot be one."""
        why = why_no_branch(str(value).replace("{arch}", "amd64"))
        if why:
            self.fail(f"{value!r}: {why}", param, ctx)
        return str(value)


class Architecture(click.ParamType[str]):
    """Go's name for an architecture, or uname's."""

    name = "ARCH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Go's; a usage error for what cannot be one."""
        if not _ARCH.fullmatch(str(value)):
            self.fail(f"{value!r} is no architecture", param, ctx)
        return go_arch(str(value))


class Name(NotEmpty):
    """A release's name, which goes into logs, commits and branches."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what cannot be one."""
        super().convert(value, param, ctx)
        try:
            return Release({}, str(value)).name
        except LayerError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.FloatRange):
    """More than none, and no more than a day: a socket takes neither infinity nor NaN."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=24 * 60 * 60)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A number; a usage error for one out of the range, or for none."""
        seconds = super().convert(value, param, ctx)
        if isnan(seconds):
            self.fail(f"{value!r} is not a number", param, ctx)
        return seconds
