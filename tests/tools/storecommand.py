"""The command image-store, run as its users run it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.command import finished, start
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
    process = start("image-store", [command, f"--repo={repo}", *arguments], env or {})
    status, stdout, stderr = finished(process)
    assert "Traceback" not in stderr, stderr
    return Outcome(status, stdout, stderr)


def answered(repo: Path, command: str, *arguments: Argument) -> dict[str, Any]:
    """The JSON document of a command that has to succeed."""
    outcome = image_store(repo, command, "--json", *arguments)
    assert outcome.status == 0, outcome.stderr
    return outcome.document
