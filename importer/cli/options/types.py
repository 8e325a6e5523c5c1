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

from layers.errors import LayerError
from layers.moment import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from click import ParamType as ParamType
    from click.shell_completion import CompletionItem
else:  # generic since click 8.4, for type checkers alone

    class ParamType[T](click.ParamType):
        """click's type of a value."""


# policy language, "Security Contexts": user:role:type, and a range that may have colons.
_CONTEXT = r"[!-9;-~]+(:[!-9;-~]+){2}(:[!-~]+)?"
_SIZE = re.compile(r"(\d+)([KMGT]?)i?B?", re.IGNORECASE)
_EMPTY = "the value is empty"
# click converts what is text, whatever its types say.
type _Convert = Callable[[object, click.Parameter | None, click.Context | None], float]
_WITHIN_A_DAY = cast("_Convert", click.FloatRange(min=0, min_open=True, max=24 * 60 * 60).convert)


class Parsed[T](ParamType[T]):
    """A kind of value that is written as text. `name` is its name in --help."""

    name = "TEXT"

    def __init__(self, name: str = "") -> None:
        self.name = name or self.name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Return the value. Fail with a usage error."""
        try:
            return self.parse(str(value))
        except (ValueError, LayerError) as error:
            self.fail(str(error), param, ctx)

    def parse(self, text: str) -> T:
        """Return the value. Raise ValueError or LayerError, which say why, if the text is none."""
        raise NotImplementedError


class NotEmpty(Parsed[str]):
    """Any text but ""."""

    def parse(self, text: str) -> str:
        if not text:
            raise ValueError(_EMPTY)
        return text


class TextType(Parsed[str]):
    """Text in UTF-8. `empty` tells that "" is accepted."""

    def __init__(self, name: str = "", *, empty: bool = False) -> None:
        super().__init__(name)
        self._empty = empty

    def parse(self, text: str) -> str:
        if not text and not self._empty:
            raise ValueError(_EMPTY)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{text!r} is not UTF-8") from None
        return text


class KeyValue(Parsed[tuple[str, str]]):
    """KEY=VALUE; the value may be empty."""

    name = "KEY=VALUE"

    def parse(self, text: str) -> tuple[str, str]:
        text = TextType(empty=True).parse(text)
        key, equals, rest = text.partition("=")
        if not key or not equals:
            raise ValueError(f"{text!r} is not of the form KEY=VALUE")
        return key, rest


class Context(TextType):
    """An SELinux context, in the form user:role:type[:level]."""

    name = "CONTEXT"

    def parse(self, text: str) -> str:
        text = super().parse(text)
        if not re.fullmatch(_CONTEXT, text):
            raise ValueError(f"{text!r} is not of the form user:role:type:level")
        return text


class Transports(Parsed[frozenset[str]]):
    """Names of skopeo's transports, divided by commas."""

    name = "NAME,..."

    def parse(self, text: str) -> frozenset[str]:
        from layers.oci.reference import TRANSPORTS

        found = frozenset(text.split(","))
        if stray := found - TRANSPORTS:
            raise ValueError(f"{min(stray)!r} is none of {', '.join(sorted(TRANSPORTS))}")
        return found


class PlaceType(Parsed[Path]):
    """A path. `directory` False refuses an existing directory; `dash` takes `-`."""

    name = "PATH"

    def __init__(
        self, name: str = "", *, readable: bool = True, directory: bool = True, dash: bool = False
    ) -> None:
        super().__init__(name)
        self._path = click.Path(readable=readable, dir_okay=directory, allow_dash=dash)

    def parse(self, text: str) -> Path:
        if not text:
            raise ValueError(_EMPTY)
        return Path(os.fsdecode(self._path.convert(text, None, None)))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the files below the directory."""
        return self._path.shell_complete(ctx, param, incomplete)


class YesNo(Parsed[bool]):
    """A boolean; for click alone, "" is false."""

    name = "BOOL"

    def parse(self, text: str) -> bool:
        if not text:
            raise ValueError(_EMPTY)
        return bool(click.BOOL.convert(text, None, None))


class Timestamp(Parsed[int]):
    """A time from 1970 on: `@SECONDS`, or ISO 8601."""

    name = "TIMESTAMP"

    def parse(self, text: str) -> int:
        try:
            seconds = int(text[1:]) if text.startswith("@") else _seconds_of(text)
        except ValueError:
            seconds = -1
        if seconds < 0:
            raise ValueError(f"{text!r} is neither @SECONDS nor an ISO 8601 time after 1970")
        return seconds


def _seconds_of(text: str) -> int:
    return int(parse_moment(text).timestamp())  # in this machine's zone if it names none


class Size(Parsed[int]):
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "SIZE"

    def parse(self, text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a size such as 64G")
        return int(int(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


class OneOf[E: Enum](Parsed[E]):
    """One of an Enum's values, which are strings."""

    def __init__(self, kind: type[E]) -> None:
        self._kind = kind
        self._choice = click.Choice([str(member.value) for member in kind])
        super().__init__(f"[{'|'.join(self._choice.choices)}]")

    def parse(self, text: str) -> E:
        return self._kind(self._choice.convert(text, None, None))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self._choice.shell_complete(ctx, param, incomplete)


class Number(Parsed[int]):
    """A whole number in a range; without `most` it has no upper end."""

    name = "N"

    def __init__(self, least: int, most: int | None = None, name: str = "") -> None:
        super().__init__(name)
        self._convert = cast("_Convert", click.IntRange(least, most).convert)

    def parse(self, text: str) -> int:
        return int(self._convert(text, None, None))


class Seconds(Parsed[float]):
    """A duration: more than none, at most a day. A socket takes neither infinity nor NaN."""

    name = "SECONDS"

    def parse(self, text: str) -> float:
        seconds = float(_WITHIN_A_DAY(text, None, None))
        if isnan(seconds):
            raise ValueError(f"{text!r} is not a number")
        return seconds
