"""The command import-release, run as its users run it."""

from pathlib import Path
from typing import Any, Unpack

from tests.tools.importimage import How, Outcome, run_import
from tests.tools.process import Argument


def run_release(repo: Path | None, *arguments: Argument, **how: Unpack[How]) -> Outcome:
    """Runs `import-release --repo=REPO ARGUMENTS...`; nothing is retried unless they say so."""
    how["command"] = "import-release"
    flags = ("--tls-verify=false", "--retry-times=0", "--timeout=60")
    return run_import(repo, *flags, *arguments, **how)


def released(repo: Path | None, *arguments: Argument, **how: Unpack[How]) -> dict[str, Any]:
    """The JSON document of a run that has to succeed."""
    outcome = run_release(repo, "--json", "--quiet", *arguments, **how)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stderr == ""
    return outcome.document


def failed(repo: Path, *arguments: Argument, **how: Unpack[How]) -> Outcome:
    """A run that has to fail with errors for its user, and nothing on standard output."""
    outcome = run_release(repo, "--quiet", *arguments, **how)
    assert outcome.status == 1, outcome
    assert outcome.stdout == ""
    assert outcome.said("error")
    return outcome


def changes(document: dict[str, Any]) -> dict[str, list[str]]:
    """The names of the components by what became of them, of the only release."""
    (release,) = document["releases"]
    found = release["changes"]
    names = {key: [one["name"] for one in found[key]] for key in ("added", "changed", "removed")}
    return names | {"unchanged": found["unchanged"]}
