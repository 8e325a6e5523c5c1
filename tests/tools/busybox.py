"""A layer that can run: Debian's static busybox."""

from pathlib import Path

from tests.tools.entry import Entry
from tests.tools.lacking import need

APPLETS = ("sh", "echo", "cat", "ls", "stat", "sleep", "true", "touch", "rm", "mkdir", "find")


def busybox_layer(*applets: str) -> list[Entry]:
    """The entries of a small root file system."""
    folders = [b"bin", b"dev", b"etc", b"proc", b"sys", b"tmp"]
    links = [
        Entry(b"bin/" + name.encode(), "symlink", mode=0o777, link=b"busybox")
        for name in applets or APPLETS
    ]
    binary = Entry(b"bin/busybox", mode=0o755, content=Path(need("busybox")).read_bytes())
    return [*(Entry(name, "dir", mode=0o755) for name in folders), binary, *links]
