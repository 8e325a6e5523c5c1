"""Find the lower layers of each layer in the home directory of an overlay graph driver.

Layout, the same for containers-storage's `overlay`, Docker's `overlay2` and `fuse-overlayfs`:
`HOME/ID/diff` is a layer, `HOME/l/LINK` a symlink to `../ID/diff`, and `HOME/ID/lower` names the
layers below as `l/LINK:l/LINK:…`, nearest first; a base layer has no such file. Source:
github.com/containers/storage drivers/overlay/overlay.go, github.com/moby/moby
daemon/graphdriver/overlay2/overlay.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TARGET = re.compile(rb"\.\./([^/]+)/diff")
_LOWER = re.compile(rb"l/([^/:]+)")
# In this file of its home containers-storage records whether a mount program, fuse-overlayfs, is
# used: drivers/overlay/overlay.go, `mountProgramFlagFile` (1.57 to 1.62). Where it is missing, the
# driver looks for `.wh.` names.
FLAG = b".has-mount-program"


def may_be_fuse(home: bytes, flag: bytes | None) -> bool:
    """Return whether fuse-overlayfs, which writes `.wh.NAME` for a whiteout, may have written a
    driver's layers. `home` is the directory's name, `flag` the content of FLAG in it."""
    if home == b"overlay":
        return flag is None or flag.strip() != b"false"
    return home == b"fuse-overlayfs"


def lowers_of(
    links: Mapping[bytes, bytes], contents: Mapping[bytes, bytes | None]
) -> dict[bytes, tuple[bytes, ...] | None]:
    """Return the ids of the layers below each layer, nearest first; None where a layer below is not
    in this home.

    `links` are the targets of `l/`'s symlinks. `contents` are those of the `lower` files by layer;
    None stands for a layer without such a file.
    """
    ids = {link: match[1] for link, target in links.items() if (match := _TARGET.fullmatch(target))}
    lowers = {layer: _parse_lower(content, ids) for layer, content in contents.items()}
    return {layer: below if _is_here(below, lowers) else None for layer, below in lowers.items()}


def _parse_lower(content: bytes | None, ids: Mapping[bytes, bytes]) -> tuple[bytes, ...] | None:
    if content is None:
        return ()
    matches = [_LOWER.fullmatch(part) for part in content.rstrip(b"\n").split(b":")]
    below = [ids.get(match[1]) if match else None for match in matches]
    layers = tuple(layer for layer in below if layer is not None)
    return layers if len(layers) == len(below) else None


def _is_here(
    below: tuple[bytes, ...] | None, lowers: Mapping[bytes, tuple[bytes, ...] | None]
) -> bool:
    """Return whether each layer below is in this home, with all of its own lowers, and fewer."""
    if below is None:
        return False
    each = [lowers.get(layer) for layer in below]
    return all(own is not None and len(own) < len(below) for own in each)
