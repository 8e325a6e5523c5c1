"""The two spellings of a deletion: in a layer's tar, and quoted for ostree.

Source: image-spec layer.md, "Whiteouts" and "Opaque Whiteout"; AUFS kept the names `.wh..wh.*` for
itself. ostree quotes since 2022.6 (src/libostree/ostree-repo-checkout.c, `.ostree-wh.`; `ostree
commit` has no part in it).
"""

from __future__ import annotations

from layers.errors import LayerError

WHITEOUT_PREFIX = b".wh."
AUFS_PREFIX = b".wh..wh."
OPAQUE_MARKER = b".wh..wh..opq"
QUOTED_PREFIX = b".ostree-wh."


def is_whiteout(name: bytes) -> bool:
    """Return whether the name deletes something: `.wh.NAME`, or the opaque marker."""
    return name.startswith(WHITEOUT_PREFIX)


def is_aufs_leftover(name: bytes) -> bool:
    """Return whether AUFS wrote the name for its own use. Such entries mean nothing outside
    AUFS."""
    return name.startswith(AUFS_PREFIX) and name != OPAQUE_MARKER


def hidden_name(whiteout: bytes, prefix: bytes = WHITEOUT_PREFIX) -> bytes:
    """Return the name that `.wh.NAME`, or another prefix, deletes. Raise LayerError if there is
    none."""
    name = whiteout.removeprefix(prefix)
    if name in (b"", b".", b".."):
        raise LayerError("a whiteout that names nothing")
    return name


def quoted(name: bytes) -> bytes:
    """Return the name of the empty file that ostree turns into a whiteout of `name`."""
    return QUOTED_PREFIX + name


def unquoted(name: bytes) -> bytes | None:
    """Return the name that a quoted whiteout hides, or None if the name is no quoted whiteout."""
    return name.removeprefix(QUOTED_PREFIX) if name.startswith(QUOTED_PREFIX) else None


def refuse_quoted(name: bytes) -> None:
    """Raise LayerError for an image's own `.ostree-wh.*`, of which ostree would make a device."""
    if name.startswith(QUOTED_PREFIX):
        raise LayerError(
            "the image has a file of a name that ostree turns into a whiteout",
            hint="ostree has no way to escape it; the file has to leave the image",
        )
