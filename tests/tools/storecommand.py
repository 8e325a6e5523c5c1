"""The command image-store, run as its users run it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools import patience
from tests.tools.home import empty_home
from tests.tools.process import Argument

#: Beside the Python that runs the tests.
SCRIPT = Path(sys.executable).with_name("image-store")


@dataclass(frozen=True)
class Outcome:
    """What a run left."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


def image_store(
    repo: Path, command: str, *arguments: Argument, env: Mapping[str, str] | None = None
) -> Outcome:
    """Runs `image-store COMMAND --repo=REPO ARGUMENTS...`; there may be no traceback."""
    done = subprocess.run(
        [SCRIPT, command, f"--repo={repo}", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": empty_home(), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=patience.SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def answered(repo: Path, command: str, *arguments: Argument) -> dict[str, Any]:
    """The JSON document of a command that has to succeed."""
    outcome = image_store(repo, command, "--json", *arguments)
    assert outcome.status == 0, outcome.stderr
    return outcome.document
