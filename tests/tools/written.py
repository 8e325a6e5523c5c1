"""The opposite of `definition.parse`: layers as a file of `fixtures/` would have them."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from fixtures.images.definition import DEFAULT_MODES, Layers
from tests.tools.entry import KINDS, Entry

#: Fields that are written as `NAME=VALUE`.
PLAIN = {"uid": "uid", "gid": "gid", "format": "format"}
DEFAULTS = {field.name: field.default for field in fields(Entry)}


def written(layers: Layers) -> str:
    """The definition. It has what the random stacks have, not every oddity."""
    return "".join(f"layer\n{''.join(map(_line, layer))}" for layer in layers)


def _line(entry: Entry) -> str:
    verb = entry.kind if entry.kind in KINDS else "file"
    words = [verb, _quoted(entry.path)]
    if verb in ("symlink", "hardlink"):
        words += ["->", _quoted(entry.link)]
    return " ".join([*words, *_options(entry)]) + "\n"


def _options(entry: Entry) -> Iterator[str]:
    if entry.kind not in KINDS:
        yield f"type={_quoted(entry.kind.encode('latin-1'))}"
    if entry.mode != DEFAULT_MODES.get(entry.kind, 0o644):
        yield f"mode={entry.mode:04o}"
    for name, option in PLAIN.items():
        if getattr(entry, name) != DEFAULTS[name]:
            yield f"{option}={getattr(entry, name)}"
    if entry.base256:
        yield "base256=yes"
    if entry.device != (0, 0):
        yield "device={}:{}".format(*entry.device)
    if entry.content:
        yield f"text={_quoted(entry.content)}"
    if entry.sparse:
        yield f"size={entry.sparse.size} sparse={entry.sparse.style}"
        yield from (f"at:{offset}={_quoted(data)}" for offset, data in entry.sparse.regions)
    yield from _xattrs(entry.xattrs)


def _xattrs(xattrs: Mapping[bytes, bytes]) -> Iterator[str]:
    for name, value in xattrs.items():
        yield f"xattr:{name.decode()}=" + (f"0x{value.hex()}" if value else "")


def _quoted(text: bytes) -> str:
    """Escaped, and within quotes where it needs them."""
    plain = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'\"" else f"\\x{byte:02x}"
        for byte in text
    )
    return plain if plain and not set(plain) & set(" #=") else f'"{plain}"'
