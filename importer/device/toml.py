"""Read TOML strictly, as far as the configuration of podman and CRI-O needs it.

Python has a reader of TOML since 3.11 only, and EL 9 has 3.9. This one gives every value its key,
and refuses all that it cannot read; heal then changes nothing. It accepts a key that is given
twice, which a whole reader refuses: both values count.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, List, Tuple, TypeVar, Union

from importer.device.folder import DeviceError

# A number or a date is None: no setting that is asked for is one.
Value = Union[str, bool, None, List["Value"], Dict[str, "Value"]]
Setting = Tuple[Tuple[str, ...], Value]
Item = TypeVar("Item")

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"[ \t\r\n]+|#[^\n]*")
_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[A-Za-z0-9_+.:-]+(?: \d\d:[0-9:.Z+-]+)?")
# By what a text begins and ends with: a piece of it. A long one may end with quotes of its own.
_PIECES = {
    '"""': re.compile(r'[^"\\]+|\\.|"(?!""(?!"))', re.DOTALL),
    "'''": re.compile(r"[^']+|'(?!''(?!'))"),
    '"': re.compile(r'[^"\\\n]+|\\[^\n]'),
    "'": re.compile(r"[^'\n]+"),
}
_ESCAPE = re.compile(
    r'\\(?:([btnfr"\\])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|[ \t]*\r?\n[ \t\r\n]*|(?P<unknown>))'
)
_PLAIN = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_DEEPEST = 32


def settings(raw: bytes) -> Iterator[Setting]:
    """Yield each key, with its tables' keys before it, and its value.

    Raise DeviceError if the text is not TOML, or not of the kind that is read here.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise DeviceError("it is not UTF-8") from None
    yield from _Reader(text).settings()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def settings(self) -> Iterator[Setting]:
        table: Tuple[str, ...] = ()
        self._skip_all(_BLANK)
        while self._at < len(self._text):
            if self._skips("["):
                brackets = "]]" if self._skips("[") else "]"
                table = self._keys()
                self._need(brackets)
            else:
                keys = (*table, *self._keys())
                self._need("=")
                yield from _leaves(keys, self._value(0))
            if not self._take(_END) and self._at < len(self._text):
                raise self._error("the line goes on")
            self._skip_all(_BLANK)

    def _keys(self) -> Tuple[str, ...]:
        keys = [self._key()]
        while self._skips("."):
            keys.append(self._key())
            if len(keys) > _DEEPEST:
                raise self._error("tables are nested too deep")
        return tuple(keys)

    def _key(self) -> str:
        self._take(_SPACE)
        key = (self._string() if self._next() in {'"', "'"} else "") or self._take(_BARE_KEY)
        self._take(_SPACE)
        if not key:
            raise self._error("a key is missing")
        return key

    def _value(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise self._error("values are nested too deep")
        self._take(_SPACE)
        if self._skips("["):
            return list(self._items("]", _BLANK, lambda: self._value(depth + 1)))
        if self._skips("{"):
            return dict(self._items("}", _SPACE, lambda: self._member(depth + 1)))
        if self._next() in {'"', "'"}:
            return self._string()
        word = self._take(_SCALAR)
        if not word:
            raise self._error("a value is missing")
        return {"true": True, "false": False}.get(word)

    def _items(self, end: str, blank: re.Pattern[str], read: Callable[[], Item]) -> Iterator[Item]:
        """Yield the items of an array or of an inline table, up to its end."""
        self._skip_all(blank)
        while not self._skips(end):
            yield read()
            self._skip_all(blank)
            if not self._skips(",") and self._next() != end:
                raise self._error(f"{end} is missing")
            self._skip_all(blank)

    def _member(self, depth: int) -> Tuple[str, Value]:
        keys = self._keys()
        self._need("=")
        return ".".join(keys), self._value(depth)

    def _string(self) -> str:
        quote = next(mark for mark in _PIECES if self._text.startswith(mark, self._at))
        self._at += len(quote)
        if len(quote) > 1:
            self._skips("\r")
            self._skips("\n")
        start = self._at
        self._skip_all(_PIECES[quote])
        text = self._text[start : self._at]
        if not self._skips(quote):
            raise self._error("a text does not end")
        return _ESCAPE.sub(self._character, text) if '"' in quote else text

    def _character(self, escape: re.Match[str]) -> str:
        """Return what an escape stands for: nothing, if a line is continued."""
        if escape[1]:
            return _PLAIN[escape[1]]
        digits = escape[2] or escape[3]
        if not digits:
            if escape["unknown"] is not None:
                raise self._error("an escape is unknown")
            return ""
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self._error("an escape stands for no character")
        return chr(code)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if not match:
            return ""
        self._at = match.end()
        return match.group()

    def _skip_all(self, pattern: re.Pattern[str]) -> None:
        while self._take(pattern):
            pass

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skips(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _need(self, text: str) -> None:
        if not self._skips(text):
            raise self._error(f"{text} is missing")

    def _error(self, problem: str) -> DeviceError:
        line = self._text.count("\n", 0, self._at) + 1
        return DeviceError(f"it is not TOML that can be read here: line {line}: {problem}")


def _leaves(keys: Tuple[str, ...], value: Value) -> Iterator[Setting]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves((*keys, *key.split(".")), inner)
    else:
        yield keys, value
