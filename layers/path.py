"""Paths within a layer: bytes, relative to its root, without `.` and `..`."""

from __future__ import annotations

from functools import lru_cache

from layers.errors import LayerError
from layers.whiteout import OPAQUE_MARKER, WHITEOUT_PREFIX

# include/uapi/linux/limits.h; no tool could unpack more.
_NAME_MAX = 255
_PATH_MAX = 4095

type Path = tuple[bytes, ...]


def components(path: bytes) -> Path:
    """Split a path into its names. The root has none.

    A leading `/` or `./` means the layer's root, as for every tool that unpacks layers. Raise
    LayerError if the path leaves the root, or no file system or ostree repo can hold it.
    """
    if len(path) > _PATH_MAX:
        _check_length(path)
    head, _, last = path.rstrip(b"/").rpartition(b"/")
    if last in (b"", b".", b".."):
        return _resolved(path)
    return (*_parents(head), _checked(last))


@lru_cache(maxsize=1024)
def _parents(head: bytes) -> Path:
    """Split the directory's path. Cached, since a tar lists a directory's files one after the
    other."""
    return _resolved(head)


def _resolved(path: bytes) -> Path:
    names: list[bytes] = []
    for name in path.split(b"/"):
        if name == b"..":
            if not names:
                raise LayerError("the path leaves the layer's root")
            names.pop()
        elif name not in (b"", b"."):
            names.append(_checked(name))
    return tuple(names)


def _check_length(path: bytes) -> None:
    """Raise LayerError if the path is too long. For a whiteout, the path that it hides counts."""
    name = path.rpartition(b"/")[2]
    hidden = b"" if name == OPAQUE_MARKER else name.removeprefix(WHITEOUT_PREFIX)
    if len(path) - len(name) + len(hidden) > _PATH_MAX:
        raise LayerError(f"path of {len(path)} bytes; Linux has {_PATH_MAX}")


def _checked(name: bytes) -> bytes:
    if len(name) > _NAME_MAX and len(name.removeprefix(WHITEOUT_PREFIX)) > _NAME_MAX:
        raise LayerError(f"name of {len(name)} bytes; Linux has {_NAME_MAX}")
    check_utf8(name)
    return name


def check_utf8(name: bytes) -> None:
    """Raise LayerError for a name that ostree cannot store."""
    if not name.isascii():
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            raise LayerError(
                "the name is not UTF-8", hint="ostree's directory trees hold UTF-8 names only"
            ) from None


def target_text(target: bytes) -> str:
    """Return a symlink's target as ostree stores it. Raise LayerError unless it is UTF-8."""
    try:
        return target.decode()
    except UnicodeDecodeError:
        raise LayerError(
            "the symlink's target is not UTF-8", hint="ostree's objects hold UTF-8 targets only"
        ) from None


def normalized(path: bytes) -> bytes:
    """Return the path without the parts that `components` drops."""
    if path[:1] not in (b"/", b".") and b"//" not in path and b"/." not in path:
        return path.rstrip(b"/")  # what most paths are already
    return joined(components(path))


def joined(path: Path) -> bytes:
    """Return the path with slashes, for people and for records."""
    return b"/".join(path)
