r"""Readable layer definitions: the `.layers` files of `fixtures/`, an entry a line.

    # comment
    layer
    dir      etc mode=0755 uid=0 gid=0
    file     etc/passwd mode=0644 text="root\n"
    file     big size=100000 fill=x
    file     caf\xc3\xa9 xattr:user.a=0x00ff
    symlink  bin -> usr/bin
    hardlink a -> etc/passwd
    char     dev/null device=1:3
    whiteout etc/gone         # the tar entry etc/.wh.gone
    opaque   etc              # the tar entry etc/.wh..wh..opq

Oddities:

    file     f type=7                         # the type flag
    file     f size=9999 sparse=1.0 at:512=abc  # a sparse file, or without `sparse` a plain one
    file     f pax:KEY=VALUE                  # one more PAX record
    file     f raw:mode=\x80                  # a header field's bytes
    file     f base256=yes                    # numbers in GNU's base 256
    hardlink b -> a claims=5                  # a size without the data

Each line `layer` begins a layer above the last. `\xNN`, `\n`, `\t` and `\\` are escapes
everywhere; quotes hold blanks and `#`. `text=0x...` is only text; an xattr's value that begins
with `0x` is hexadecimal.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from tests.tools.entry import KINDS, Entry, Format, Sparse, SparseStyle, opaque, whiteout

Layers = list[list[Entry]]

#: Like mkdir(1), mknod(1) and so on under the umask 022.
DEFAULT_MODES = {"dir": 0o755, "symlink": 0o777}
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
SHORT = {b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


class DefinitionError(ValueError):
    """A line that makes no sense; the message begins with file and line."""


def load(path: Path) -> Layers:
    """The layers of a definition file, base first."""
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, name: str = "<text>") -> Layers:
    """The layers of a definition, base first; `name` stands in the error messages."""
    layers: Layers = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            _line(line, layers)
        except ValueError as error:
            raise DefinitionError(f"{name}:{number}: {error}") from None
    return layers


def _line(line: str, layers: Layers) -> None:
    words = _words(line)
    if not words:
        return
    if words == ["layer"]:
        layers.append([])
    elif not layers:
        raise ValueError("an entry stands before the first line 'layer'")
    else:
        layers[-1].append(_entry(words))


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    # The backslash is ours (see _unescape), also inside of quotes.
    lexer.escape = ""
    return list(lexer)


def _unescape(word: str) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if len(code) == 3:
            return bytes([int(code[1:], 16)])
        if code not in SHORT:
            raise ValueError(f"unknown escape \\{code.decode(errors='replace')}")
        return SHORT[code]

    return ESCAPE.sub(one, word.encode())


def _entry(words: list[str]) -> Entry:
    verb, *rest = words
    if not rest:
        raise ValueError(f"'{verb}' needs a path")
    entry = _bare(verb, _unescape(rest[0]))
    options = rest[1:]
    if verb in ("symlink", "hardlink"):
        if len(options) < 2 or options[0] != "->":
            raise ValueError(f"a {verb} is written '{verb} NAME -> TARGET'")
        entry, options = replace(entry, link=_unescape(options[1])), options[2:]
    return _with_options(entry, options)


def _bare(verb: str, path: bytes) -> Entry:
    if verb == "whiteout":
        return whiteout(path)
    if verb == "opaque":
        return opaque(path)
    if verb not in KINDS:
        raise ValueError(f"unknown kind of entry '{verb}'")
    return Entry(path, verb, mode=DEFAULT_MODES.get(verb, 0o644))


def _with_options(entry: Entry, options: list[str]) -> Entry:
    values: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"'{option}' is no NAME=VALUE")
        if name in values:
            raise ValueError(f"'{name}' stands there twice")
        values[name] = value
    prefixed = {kind: _taken(values, f"{kind}:") for kind in ("xattr", "pax", "raw", "at")}
    size, fill, sparse = (values.pop(name, None) for name in ("size", "fill", "sparse"))
    changes: dict[str, Any] = {_target(name): _value(name, value) for name, value in values.items()}
    changes.update(_filling(size, fill, "content" in changes))
    if sparse or prefixed["at"]:
        whole = len(changes.pop("content", b""))
        changes.update(_regions(whole, sparse, prefixed["at"]))
    if prefixed["raw"]:
        changes["raw"] = {name: _unescape(text) for name, text in prefixed["raw"].items()}
    changes["records"] = tuple((k.encode(), _unescape(v)) for k, v in prefixed["pax"].items())
    return replace(entry, xattrs=_xattrs(prefixed["xattr"]), **changes)


def _taken(values: dict[str, str], prefix: str) -> dict[str, str]:
    found = [name for name in values if name.startswith(prefix)]
    return {name.removeprefix(prefix): values.pop(name) for name in found}


def _regions(size: int, sparse: str | None, at: dict[str, str]) -> dict[str, Any]:
    pieces = tuple((int(offset), _unescape(text)) for offset, text in at.items())
    if sparse is None:
        return {"content": Sparse("1.0", size, pieces).expanded()}
    if sparse not in get_args(SparseStyle):
        raise ValueError(f"a sparse style is one of {', '.join(get_args(SparseStyle))}")
    return {"sparse": Sparse(cast("SparseStyle", sparse), size, pieces)}


#: Option: the field of `Entry` it sets, and the reader of its value.
OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "mode": ("mode", lambda text: int(text, 8)),
    "uid": ("uid", int),
    "gid": ("gid", int),
    "mtime": ("mtime", lambda text: float(text) if "." in text else int(text)),
    "text": ("content", _unescape),
    "device": ("device", lambda text: _device(text)),
    "format": ("format", lambda text: _format(text)),
    "type": ("kind", lambda text: _unescape(text).decode("latin-1")),
    "claims": ("claimed_size", int),
    "base256": ("base256", lambda text: {"yes": True, "no": False}[text]),
}


def _target(name: str) -> str:
    if name not in OPTIONS:
        raise ValueError(f"unknown option '{name}'")
    return OPTIONS[name][0]


def _value(name: str, text: str) -> object:
    try:
        return OPTIONS[name][1](text)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name}={text}: {error}") from None


def _device(text: str) -> tuple[int, int]:
    major, colon, minor = text.partition(":")
    if not colon:
        raise ValueError("a device is MAJOR:MINOR")
    return int(major), int(minor)


def _format(text: str) -> str:
    if text not in get_args(Format):
        raise ValueError(f"a format is one of {', '.join(get_args(Format))}")
    return text


def _filling(size: str | None, fill: str | None, has_text: bool) -> dict[str, bytes]:
    if size is None:
        if fill is not None:
            raise ValueError("'fill' without 'size'")
        return {}
    if has_text:
        raise ValueError("either 'text' or 'size'")
    pattern = _unescape(fill) if fill else b"\x00"
    return {"content": (pattern * (int(size) // len(pattern) + 1))[: int(size)]}


def _xattrs(values: dict[str, str]) -> dict[bytes, bytes]:
    return {
        _unescape(name): (bytes.fromhex(value[2:]) if value.startswith("0x") else _unescape(value))
        for name, value in values.items()
    }
