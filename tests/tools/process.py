"""Running a command for a test."""

import subprocess
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from tests.tools import lacking, patience

Argument = str | bytes | PathLike[str]


class CommandError(AssertionError):
    """A command failed; the message has all it wrote."""


def run(
    argv: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """The command's standard output. A failure carries both outputs.

    The test is skipped if the system has no package of the program.
    """
    try:
        done = subprocess.run(
            argv,
            env=env,
            cwd=cwd,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=patience.SECONDS,
        )
    except FileNotFoundError:
        lacking.missing(str(argv[0]))
    if done.returncode:
        words = " ".join(map(str, argv))
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise CommandError(f"exit {done.returncode}: {words}\n{output}")
    return done.stdout.decode(errors="surrogateescape")
