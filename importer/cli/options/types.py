"""The kinds of values that options take.

Each kind converts a value or fails with a usage error. No kind accepts "", which a script passes if
a variable was never set: the option would count as absent, so that, say, nothing is signed, or as
the directory in which the script runs. `ostree --repo=` is an error, too.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from layers.moment import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from click import ParamType as ParamType
    from click.shell_completion import CompletionItem
else:  # generic since click 8.4, for type checkers alone

    class ParamType[T](click.ParamType):
        """click's type of a value."""


# policy language, "Security Contexts": user:role:type, and a range that may have colons.
_CONTEXT = re.compile(r"[!-9;-~]+(:[!-9;-~]+){2}(:[!-~]+)?")
_SIZE = re.compile(r"(\d+)([KMGT]?)i?B?", re.IGNORECASE)
_EMPTY = "the value is empty"
# click converts what is text, whatever its types say.
type _Convert = Callable[[object, click.Parameter | None, click.Context | None], float]
_WITHIN_A_DAY = cast("_Convert", click.FloatRange(min=0, min_open=True, max=24 * 60 * 60).convert)


class NotEmpty(ParamType[str]):
    """Any text but ""."""

    name = "TEXT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text."""
        if not str(value):
            self.fail(_EMPTY, param, ctx)
        return str(value)


class TextType(ParamType[str]):
    """Text in UTF-8. `empty` tells that "" is accepted."""

    name = "TEXT"

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text."""
        text = str(value)
        if not text and not self._empty:
            self.fail(_EMPTY, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r} is not UTF-8", param, ctx)
        return text


class KeyValue(ParamType[tuple[str, str]]):
    """KEY=VALUE; the value may be empty."""

    name = "KEY=VALUE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return key and value."""
        text = TextType(empty=True).convert(value, param, ctx)
        key, equals, rest = text.partition("=")
        if not key or not equals:
            self.fail(f"{text!r} is not of the form KEY=VALUE", param, ctx)
        return key, rest


class Context(TextType):
    """An SELinux context, in the form user:role:type[:level]."""

    name = "CONTEXT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the context. Whether the device's policy knows it cannot be told here."""
        text = super().convert(value, param, ctx)
        if not _CONTEXT.fullmatch(text):
            self.fail(f"{text!r} is not of the form user:role:type:level", param, ctx)
        return text


class Transports(ParamType[frozenset[str]]):
    """Names of skopeo's transports, divided by commas."""

    name = "NAME,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[str]:
        """Return the names."""
        from layers.oci.reference import TRANSPORTS

        found = frozenset(str(value).split(","))
        if stray := found - TRANSPORTS:
            self.fail(f"{min(stray)!r} is none of {', '.join(sorted(TRANSPORTS))}", param, ctx)
        return found


class PlaceType(ParamType[Path]):
    """A path. `directory` False refuses an existing directory; `dash` takes `-`."""

    name = "PATH"

    def __init__(
        self, *, readable: bool = True, directory: bool = True, dash: bool = False
    ) -> None:
        self._path = click.Path(readable=readable, dir_okay=directory, allow_dash=dash)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return the path. pathlib alone would make "." of ""."""
        text = os.fspath(value) if isinstance(value, Path) else str(value)
        if not text:
            self.fail(_EMPTY, param, ctx)
        return Path(os.fsdecode(self._path.convert(text, param, ctx)))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the files below the directory."""
        return self._path.shell_complete(ctx, param, incomplete)


class YesNo(ParamType[bool]):
    """A boolean; for click alone, "" is false."""

    name = "BOOL"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bool:
        """Return the boolean."""
        if value == "":
            self.fail(_EMPTY, param, ctx)
        return bool(click.BOOL.convert(value, param, ctx))


class Timestamp(ParamType[int]):
    """A time from 1970 on: `@SECONDS`, or ISO 8601."""

    name = "TIMESTAMP"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return seconds since 1970."""
        text = str(value)
        try:
            seconds = int(text[1:]) if text.startswith("@") else _seconds_of(text)
        except ValueError:
            seconds = -1
        if seconds < 0:
            self.fail(f"{text!r} is neither @SECONDS nor an ISO 8601 time after 1970", param, ctx)
        return seconds


def _seconds_of(text: str) -> int:
    return int(parse_moment(text).timestamp())  # in this machine's zone if it names none


class Size(ParamType[int]):
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "SIZE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return bytes."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a size such as 64G", param, ctx)
        return int(int(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


class OneOf[E: Enum](ParamType[E]):
    """One of an Enum's values, which are strings."""

    def __init__(self, kind: type[E]) -> None:
        self._kind = kind
        self._choice = click.Choice([str(member.value) for member in kind])
        self.name = "|".join(self._choice.choices)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> E:
        """Return the Enum's member."""
        return self._kind(self._choice.convert(value, param, ctx))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the values as --help shows them."""
        return self._choice.get_metavar(param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the values."""
        return self._choice.shell_complete(ctx, param, incomplete)


class Number(ParamType[int]):
    """A whole number in a range; without `most` it has no upper end."""

    name = "NUMBER"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._convert = cast("_Convert", click.IntRange(least, most).convert)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number."""
        return int(self._convert(str(value), param, ctx))


class Seconds(ParamType[float]):
    """A duration: more than none, at most a day. A socket takes neither infinity nor NaN."""

    name = "SECONDS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        seconds = float(_WITHIN_A_DAY(str(value), param, ctx))
        if isnan(seconds):
            self.fail(f"{value!r} is not a number", param, ctx)
        return seconds
