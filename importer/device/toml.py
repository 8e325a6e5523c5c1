"""Read TOML strictly, as far as the configuration of podman and CRI-O needs it.

Python has a reader of TOML since 3.11 only, and EL 9 has 3.9. This one gives every value its key,
and refuses whatever it does not know; heal then changes nothing. It does not refuse what only a
whole reader notices, such as a key that is given twice: both values count.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Tuple, Union

from importer.device.folder import DeviceError

# A number or a date is None: no setting that is asked for is one.
Value = Union[str, bool, None, List["Value"], Dict[str, "Value"]]
Setting = Tuple[Tuple[str, ...], Value]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"[ \t\r\n]+|#[^\n]*")
_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[A-Za-z0-9_+.:-]+(?: \d\d:[0-9:.Z+-]+)?")
_ESCAPE = re.compile(r'\\(?:([btnfr"\\])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_FOLD = re.compile(r"\\[ \t]*\r?\n[ \t\r\n]*")
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
        self._skip_lines()
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
            self._skip_lines()

    def _keys(self) -> Tuple[str, ...]:
        found = [self._key()]
        while self._skips("."):
            found.append(self._key())
            if len(found) > _DEEPEST:
                raise self._error("tables are nested too deep")
        return tuple(found)

    def _key(self) -> str:
        self._take(_SPACE)
        key = self._string() if self._text[self._at : self._at + 1] in {'"', "'"} else ""
        key = key or self._take(_BARE_KEY)
        self._take(_SPACE)
        if not key:
            raise self._error("a key is missing")
        return key

    def _value(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise self._error("values are nested too deep")
        self._take(_SPACE)
        if self._skips("["):
            return self._array(depth + 1)
        if self._skips("{"):
            return self._inline_table(depth + 1)
        if self._text[self._at : self._at + 1] in {'"', "'"}:
            return self._string()
        word = self._take(_SCALAR)
        if not word:
            raise self._error("a value is missing")
        return {"true": True, "false": False}.get(word)

    def _array(self, depth: int) -> List[Value]:
        found: List[Value] = []
        while True:
            self._skip_lines()
            if self._skips("]"):
                return found
            found.append(self._value(depth))
            self._skip_lines()
            if not self._skips(",") and self._text[self._at : self._at + 1] != "]":
                raise self._error("an array does not end")

    def _inline_table(self, depth: int) -> Dict[str, Value]:
        found: Dict[str, Value] = {}
        self._take(_SPACE)
        while not self._skips("}"):
            keys = self._keys()
            self._need("=")
            found[".".join(keys)] = self._value(depth)
            self._take(_SPACE)
            if not self._skips(",") and self._text[self._at : self._at + 1] != "}":
                raise self._error("a table does not end")
        return found

    def _string(self) -> str:
        quote = self._text[self._at]
        if self._skips(quote * 3):
            self._skips("\r")
            self._skips("\n")
            return self._until(quote * 3, quote)
        self._at += 1
        return self._until(quote, quote)

    def _until(self, end: str, quote: str) -> str:
        """Return the text before `end`; in double quotes with its escapes resolved."""
        parts: List[str] = []
        stop = re.compile(f"{end}|\\\\" if quote == '"' else end)
        while True:
            found = stop.search(self._text, self._at)
            if not found:
                raise self._error("a text does not end")
            parts.append(self._text[self._at : found.start()])
            if len(end) == 1 and "\n" in parts[-1]:
                raise self._error("a text has a line's end")
            self._at = found.start()
            if found.group() == end:
                self._at += len(end)
                while len(end) > 1 and self._skips(quote):  # the text may end with quotes, too
                    parts.append(quote)
                return "".join(parts)
            parts.append(self._escaped(folds=len(end) > 1))

    def _escaped(self, *, folds: bool) -> str:
        if folds and self._take(_FOLD):
            return ""
        found = _ESCAPE.match(self._text, self._at)
        if not found:
            raise self._error("an escape is unknown")
        self._at = found.end()
        if found.group(1):
            return _PLAIN[found.group(1)]
        code = int(found.group(2) or found.group(3), 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self._error("an escape stands for no character")
        return chr(code)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if not found:
            return ""
        self._at = found.end()
        return found.group()

    def _skip_lines(self) -> None:
        while self._take(_BLANK):
            pass

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
        for key, one in value.items():
            yield from _leaves((*keys, *key.split(".")), one)
    else:
        yield keys, value
