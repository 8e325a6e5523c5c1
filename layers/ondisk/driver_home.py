"""Find the lower layers of each layer in the home directory of an overlay graph driver.

Layout, the same for containers-storage's `overlay`, Docker's `overlay2` and `fuse-overlayfs`:
`HOME/ID/diff` is a layer, `HOME/l/LINK` a symlink to `../ID/diff`, and `HOME/ID/lower` names the
layers below as `l/LINK:l/LINK:…`, nearest first; a base layer has no such file. Source:
github.com/containers/storage drivers/overlay/overlay.go, github.com/moby/moby
daemon/graphdriver/overlay2/overlay.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class DriverHome:
    """The layers of a graph driver by their ids.

    `lowers` has the ids of the layers below each, nearest first; None where one of them is not
    in this home.
    """

    lowers: Mapping[bytes, tuple[bytes, ...] | None]


def read_home(links: Mapping[bytes, bytes], lowers: Mapping[bytes, bytes | None]) -> DriverHome:
    """Work out the lowers from the targets of `l/`'s symlinks and the content of the `lower`
    files; None stands for a layer without such a file."""
    ids = {link: match[1] for link, target in links.items() if (match := _TARGET.fullmatch(target))}
    found = {layer: _lowers(content, ids) for layer, content in lowers.items()}
    return DriverHome({layer: _known(found, layer) for layer in found})


def _lowers(content: bytes | None, ids: Mapping[bytes, bytes]) -> tuple[bytes, ...] | None:
    if content is None:
        return ()
    matches = [_LOWER.fullmatch(part) for part in content.rstrip(b"\n").split(b":")]
    below = [ids.get(match[1]) if match else None for match in matches]
    known = tuple(layer for layer in below if layer is not None)
    return known if len(known) == len(below) else None


def _known(
    lowers: Mapping[bytes, tuple[bytes, ...] | None], layer: bytes
) -> tuple[bytes, ...] | None:
    """Return the lowers if each of them is a layer whose own lowers are known, and fewer."""
    below = lowers[layer]
    if below is None:
        return None
    for one in below:
        of_one = lowers.get(one)
        if of_one is None or len(of_one) >= len(below):
            return None
    return below
