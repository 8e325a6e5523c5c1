"""umoci: another reader of OCI images, whose view of whiteouts we compare ours with."""

from pathlib import Path

from tests.tools.process import run


def unpack(layout: Path, tag: str, dest: Path) -> Path:
    """Unpacks all layers of `layout:tag` over each other into `dest`, as root."""
    run(["umoci", "raw", "unpack", "--image", f"{layout}:{tag}", dest])
    return dest
