"""How a deletion is written: in a layer's tar, and quoted for ostree.

Source: image-spec layer.md, "Whiteouts" and "Opaque Whiteout"; the names that AUFS kept
for itself are `.wh..wh.*`. ostree quotes since 2022.6 (`ostree commit` has no part in it:
src/libostree/ostree-repo-checkout.c, `.ostree-wh.`).
"""

from __future__ import annotations

from layers.errors import LayerError

_PREFIX = b".wh."
AUFS_PREFIX = b".wh..wh."
OPAQUE_MARKER = b".wh..wh..opq"
QUOTED_PREFIX = b".ostree-wh."


def is_whiteout(name: bytes) -> bool:
    """Whether the name deletes something: `.wh.NAME`, or the opaque marker."""
    return name.startswith(_PREFIX)


def is_aufs_leftover(name: bytes) -> bool:
    """Whether AUFS wrote it for its own use; such entries mean nothing outside AUFS."""
    return name.startswith(AUFS_PREFIX) and name != OPAQUE_MARKER


def hidden_name(whiteout: bytes) -> bytes:
    """What `.wh.NAME` deletes; LayerError if that is no name."""
    name = whiteout.removeprefix(_PREFIX)
    if name in (b"", b".", b".."):
        raise LayerError("a whiteout that names nothing")
    return name


def quoted(name: bytes) -> bytes:
    """The name of the empty file that ostree turns into a whiteout of `name`."""
    return QUOTED_PREFIX + name


def unquoted(name: bytes) -> bytes | None:
    """What a quoted whiteout hides, or None if the name is not one."""
    return name.removeprefix(QUOTED_PREFIX) if name.startswith(QUOTED_PREFIX) else None


def refuse_quoted(name: bytes) -> None:
    """LayerError for an image's own `.ostree-wh.*`: ostree would make a device of it."""
    if name.startswith(QUOTED_PREFIX):
        raise LayerError(
            "the image has a file of a name that ostree turns into a whiteout",
            hint="ostree has no way to escape it; the file has to leave the image",
        )
