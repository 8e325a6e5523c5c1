"""The container image of the commands, built once for a run of the tests."""

from functools import cache
from pathlib import Path

from tests.tools.make import BUILD, make
from tests.tools.podman import Podman, new_podman

NAME = "localhost/import-image:test"
#: Given to make, whatever is committed while the tests run.
REVISION = "0" * 40
FIXED = (f"IMAGE_NAME={NAME}", f"REVISION={REVISION}", "SOURCE_DATE_EPOCH=1700000000")


@cache
def archive() -> Path:
    """The image as an oci-archive; `make image` builds it."""
    make("image", *FIXED)
    (found,) = BUILD.glob("*.oci.tar")
    return found


def container_image(home: Path) -> Podman:
    """A podman with storage below `home` that has the image."""
    podman = new_podman(home)
    podman("load", "--quiet", f"--input={archive()}")
    return podman
