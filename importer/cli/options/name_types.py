"""The kinds of names that options take: branches, architectures, releases, the store's place."""

from __future__ import annotations

import os
import re

from importer.cache.branches import why_no_branch
from importer.cli.options.types import NotEmpty, Parsed
from layers.architecture import go_arch
from layers.path import components
from layers.whiteout import refuse_quoted

_ARCH = re.compile(r"[a-z0-9_]+")


class Branch(Parsed[str]):
    """A branch for images, not one of the cache's. `template` takes {arch} in it."""

    name = "NAME"

    def __init__(self, *, template: bool = False) -> None:
        super().__init__()
        self._template = template

    def parse(self, text: str) -> str:
        why = why_no_branch(text.replace("{arch}", "amd64") if self._template else text)
        if why:
            raise ValueError(f"{text!r}: {why}")
        return text


class Prefix(NotEmpty):
    """The directory of a store in a commit: an absolute path."""

    name = "DIR"

    def parse(self, text: str) -> str:
        text = super().parse(text)
        if not text.startswith("/") or not {"", ".", ".."}.isdisjoint(text.split("/")[1:]):
            raise ValueError(
                f"{text!r} is not an absolute path without '.', '..', '//' and a '/' at its end"
            )
        for name in components(os.fsencode(text)):
            refuse_quoted(name)
        return text


class TreePrefix(Prefix):
    """The directory of a tree in a commit: an absolute path, or the root."""

    def parse(self, text: str) -> str:
        return "/" if text == "/" else super().parse(text)


class ArchitectureType(Parsed[str]):
    """An architecture by Go's name or by uname's."""

    name = "ARCH"

    def parse(self, text: str) -> str:
        if not _ARCH.fullmatch(text):
            raise ValueError(f"{text!r} is no architecture")
        return go_arch(text)


class ReleaseName(NotEmpty):
    """A release's name, which goes into logs, commits and branches."""

    name = "NAME"

    def parse(self, text: str) -> str:
        from layers.release.release import Release

        text = super().parse(text)
        return Release({}, text).name
