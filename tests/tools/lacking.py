"""What a system has no package of: a test that needs such a program is skipped, with the reason.

On Debian nothing is lacking, since make installs everything; a missing program is an error there.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn, Protocol

#: The lists of packages that some systems have no package of (fixtures/packaging/system.mk).
OPTIONAL = frozenset(
    {"buildah", "busybox", "chromium", "dockerd", "docker-registry", "fish", "fuse-overlayfs",
     "kustomize", "mandoc", "mkfs.btrfs", "mkfs.erofs", "shellcheck", "systemd-nspawn", "umoci",
     "zsh"}
)  # fmt: skip
_REASON = "this system lacks "
_DPKG = Path("/var/lib/dpkg/status")


class Report(Protocol):
    """A test's outcome, as pytest reports it."""

    longrepr: object


def need(program: str) -> str:
    """Return the program's path. Skip the test if the system has no package of it.

    Raise RuntimeError if the program should be here and is not.
    """
    found = shutil.which(program)
    return found if found is not None else missing(program)


def missing(program: str) -> NoReturn:
    """Skip the test for want of a program, or raise RuntimeError."""
    import pytest  # `make run` has none

    name = os.path.basename(program)  # noqa: PTH119 - a word of an argv, not always a path
    if name not in OPTIONAL or _DPKG.exists():
        raise RuntimeError(f"{name} is not installed; `make test` installs what the tests need")
    pytest.skip(f"{_REASON}{name}")


def summary(skipped: Iterable[Report]) -> list[str]:
    """Return a line for each lacking program: how many tests were skipped for want of it."""
    counted: Counter[str] = Counter()
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if _REASON in str(reason):
            counted[str(reason).partition(_REASON)[2]] += 1
    return [
        f"{count} test{'s' if count > 1 else ''} skipped: {_REASON}{name}"
        for name, count in sorted(counted.items())
    ]
