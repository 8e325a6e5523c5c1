"""The project's own make targets, one at a time: they share the folder build/."""

import fcntl
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

TOP = Path(__file__).parent.parent.parent
BUILD = TOP / "build"
SECONDS = 1800


def make(
    target: str, *variables: str, umask: int = 0o022, env: Mapping[str, str] | None = None
) -> None:
    """Run a target, with `env` beside our own environment; its output is in the error if it fails.

    Test files run beside each other, and each target removes what it made before.
    """
    BUILD.mkdir(exist_ok=True)
    argv = ["make", "--no-print-directory", f"--directory={TOP}", target, *variables]
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            argv,
            env=os.environ | (env or {}),
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            umask=umask,
        )
    assert done.returncode == 0, f"make {target}:\n{done.stdout}{done.stderr}"
