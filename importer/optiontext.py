"""Options whose value is any text, as far as ostree takes it."""

from __future__ import annotations

import re
from typing import Any

import click

# policy language, "Security Contexts": user:role:type, and a range that may have colons.
_CONTEXT = re.compile(r"[!-9;-~]+(:[!-9;-~]+){2}(:[!-~]+)?")


class Text(click.ParamType[str]):
    """Text in UTF-8. "" is refused unless `empty`: a script's variable that was never set
    would be taken for no option at all, and, say, nothing be signed."""

    name = "TEXT"

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what cannot be meant."""
        text = str(value)
        if not text and not self._empty:
            self.fail("the value is empty", param, ctx)
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
