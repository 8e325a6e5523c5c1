"""Options and arguments whose value may be anything of its kind, but not "".

A script's variable that was never set would be taken for no option at all, and, say, nothing be
signed; or for the directory that it happens to be run in. `ostree --repo=` is an error, too.
"""

from __future__ import annotations

import re
from typing import Any

import click

# policy language, "Security Contexts": user:role:type, and a range that may have colons.
_CONTEXT = re.compile(r"[!-9;-~]+(:[!-9;-~]+){2}(:[!-~]+)?")


_EMPTY = "the value is empty"


class NotEmpty(click.ParamType[str]):
    """Any text but ""."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for ""."""
        if not str(value):
            self.fail(_EMPTY, param, ctx)
        return str(value)


class Place(click.Path):
    """A path, which pathlib would make `.` of if it were ""."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A Path; a usage error for ""."""
        if value == "":
            self.fail(_EMPTY, param, ctx)
        return super().convert(value, param, ctx)


class YesNo(click.types.BoolParamType):
    """A boolean; for click, "" is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A bool; a usage error for ""."""
        if value == "":
            self.fail(_EMPTY, param, ctx)
        return super().convert(value, param, ctx)


class Text(click.ParamType[str]):
    """Text in UTF-8; "" only if `empty`."""

    name = "TEXT"

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what cannot be meant."""
        text = str(value)
        if not text and not self._empty:
            self.fail(_EMPTY, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r} is not UTF-8", param, ctx)
        return text


class Context(Text):
    """An SELinux context. Whether the device's policy knows it cannot be told here."""

    name = "CONTEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what is not of its form."""
        text = super().convert(value, param, ctx)
        if not _CONTEXT.fullmatch(text):
            self.fail(f"{text!r} is not of the form user:role:type:level", param, ctx)
        return text
