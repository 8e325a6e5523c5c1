"""The kinds of names that options take: branches, architectures, releases, the store's place."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from importer.cache.branches import why_no_branch
from importer.cli.options.types import NotEmpty, ParamType
from layers.architecture import go_arch
from layers.errors import LayerError
from layers.path import components
from layers.whiteout import refuse_quoted

if TYPE_CHECKING:
    import click

_ARCH = re.compile(r"[a-z0-9_]+")


class Branch(ParamType[str]):
    """A branch for images, not one of the cache's. `template` takes {arch} in it."""

    name = "NAME"

    def __init__(self, *, template: bool = False) -> None:
        self._template = template

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name."""
        text = str(value)
        why = why_no_branch(text.replace("{arch}", "amd64") if self._template else text)
        if why:
            self.fail(f"{text!r}: {why}", param, ctx)
        return text


class Prefix(NotEmpty):
    """The directory of a store in a commit: an absolute path."""

    name = "DIR"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the path."""
        text = super().convert(value, param, ctx)
        if not text.startswith("/") or not {"", ".", ".."}.isdisjoint(text.split("/")[1:]):
            self.fail(
                f"{text!r} is not an absolute path without '.', '..', '//' and a '/' at its end",
                param,
                ctx,
            )
        try:
            for name in components(os.fsencode(text)):
                refuse_quoted(name)
        except LayerError as error:
            self.fail(str(error), param, ctx)
        return text


class TreePrefix(Prefix):
    """The directory of a tree in a commit: an absolute path, or the root."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the path."""
        return "/" if value == "/" else super().convert(value, param, ctx)


class ArchitectureType(ParamType[str]):
    """An architecture by Go's name or by uname's."""

    name = "ARCH"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return Go's name."""
        if not _ARCH.fullmatch(str(value)):
            self.fail(f"{value!r} is no architecture", param, ctx)
        return go_arch(str(value))


class ReleaseName(NotEmpty):
    """A release's name, which goes into logs, commits and branches."""

    name = "NAME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name."""
        from layers.release.release import Release

        text = super().convert(value, param, ctx)
        try:
            return Release({}, text).name
        except LayerError as error:
            self.fail(str(error), param, ctx)
