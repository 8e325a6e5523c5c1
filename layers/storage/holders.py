"""The names by which containers, images and pods on a device find the layers of a store.

Each outlives an upgrade if the new store has its layers under the same names. `heal`,
`doctor`, `diff --lost` and `check-upgrade` judge by this table:

    on the device                                       knows        by
    a container that containers-storage up to 1.62 made links        its file `lower`
    a container that a later version made               ids          its file `lower-layers`
    an image that was pulled or built beside the store  ids          `parent` in layers.json
    a record that `podman tag` wrote                    one id       `layer` in images.json
    a pod                                               image names  CRI-O makes it anew at a boot

podman up to 5.8 and CRI-O up to 1.36 have containers-storage up to 1.62; podman 6 and Debian's
podman 5.8.6 have a later one. The images of the third row have parents in a store only if its
layers have standard ids. tests/imagestore/test_check_upgrade.py has podman and heal prove the rows
but the last, tests/device/test_crio.py the last.

Python 3.9 runs this file on a device, as a part of the program of importer/device.
"""

from __future__ import annotations

from enum import Enum
from typing import Callable, Iterable, Optional


class Holder(Enum):
    """The file of a container by which the driver finds its layers; the first that is there counts
    (drivers/overlay/overlay.go, `get`)."""

    IDS = "lower-layers"
    LINKS = "lower"


def first_missing(names: Iterable[str], present: Callable[[str], bool]) -> Optional[str]:
    """Return the first name that the stores lack, None if all are present."""
    return next((name for name in names if not present(name)), None)
