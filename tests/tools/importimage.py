"""The commands, run as their users run them: the console scripts, as processes."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from tests.tools import patience
from tests.tools.command import finished, start
from tests.tools.process import Argument
from tests.tools.session import members

#: Beside the Python that runs the tests.
SCRIPT = Path(sys.executable).with_name("import-image")
#: As a service is started; what the caller's environment names may be closed to this user.
NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("env", "-u", "XDG_CONFIG_HOME", "-u", "XDG_RUNTIME_DIR", "HOME=/"),
)


@dataclass(frozen=True)
class Outcome:
    """What a run left: its exit status (-N after signal N), its outputs, its children."""

    status: int
    stdout: str
    stderr: str
    leftovers: Sequence[str]

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    def said(self, kind: str) -> list[str]:
        """The lines of standard error that begin with `error: ` or `hint: `, without that."""
        lines = self.stderr.splitlines()
        return [line.removeprefix(f"{kind}: ") for line in lines if line.startswith(f"{kind}: ")]


class How(TypedDict, total=False):
    """`wrapper` is put before the command, `command` is another one than import-image; without
    `tls`, import-image is given `--tls-verify=false`. It tries nothing again unless they say so.
    `config` are keys of the user's config file. `script` runs the installed script, whatever that
    costs (`forkserver`)."""

    command: str
    script: bool
    env: Mapping[str, str]
    wrapper: Sequence[str]
    tls: bool
    config: Mapping[str, str]


def configured(config: Mapping[str, str]) -> dict[str, str]:
    """The environment in which these keys are the user's config; none without a key."""
    if not config:
        return {}
    home = Path(tempfile.mkdtemp(prefix="config-"))
    (home / "import-image").mkdir()
    lines = (f'{key} = "{value}"\n' for key, value in config.items())
    (home / "import-image/config.toml").write_text("".join(lines))
    return {"XDG_CONFIG_HOME": str(home)}


class Run:
    """An import under way, in a session of its own, so that its children can be told."""

    def __init__(
        self,
        repo: Path | None,
        *arguments: Argument,
        **how: Unpack[How],
    ) -> None:
        script = SCRIPT.with_name(how.get("command", SCRIPT.name))
        trust = [] if how.get("tls") or script != SCRIPT else ["--tls-verify=false"]
        trust += ["--retry-times=0"] if script == SCRIPT else []
        self.process = start(
            script.name,
            [*([f"--repo={repo}"] if repo else []), *trust, *arguments],
            {**how.get("env", {}), **configured(how.get("config", {}))},
            how.get("wrapper", ()),
            script=how.get("script", False),
        )

    def send(self, number: int) -> None:
        """Signals the import alone, not its children, as `kill` does."""
        self.process.send_signal(number)

    def finish(self, timeout: float = patience.SECONDS) -> Outcome:
        """Waits for its end, and a moment for that of its children."""
        status, stdout, stderr = finished(self.process, timeout)
        return Outcome(status, stdout, stderr, _await_none(self.process.pid))


def _await_none(session: int) -> list[str]:
    """The members of the session that are there to stay."""
    deadline = time.monotonic() + patience.SECONDS
    while (found := members(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def run_import(repo: Path | None, *arguments: Argument, **how: Unpack[How]) -> Outcome:
    """Runs `import-image --repo=REPO ARGUMENTS...` to its end; None leaves --repo out.

    Whatever the outcome, there may be no process left and no traceback.
    """
    outcome = Run(repo, *arguments, **how).finish()
    assert outcome.leftovers == []
    assert "Traceback" not in outcome.stderr, outcome.stderr
    return outcome


def run_storage(repo: Path, *arguments: Argument, **how: Unpack[How]) -> Outcome:
    """The same for import-storage."""
    how["command"] = "import-storage"
    return run_import(repo, *arguments, **how)


def imported(repo: Path | None, *arguments: Argument, **how: Unpack[How]) -> dict[str, Any]:
    """The JSON document of an import that has to succeed."""
    outcome = run_import(repo, "--json", *arguments, **how)
    assert outcome.status == 0, outcome.stderr
    return outcome.document


def imported_storage(repo: Path | None, *arguments: Argument, **how: Unpack[How]) -> dict[str, Any]:
    """The same for import-storage."""
    how["command"] = "import-storage"
    return imported(repo, *arguments, **how)
