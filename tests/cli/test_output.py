"""Standard output and error that are full, gone or closed."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.tools.image import build_oci
from tests.tools.importimage import How, Outcome, imported, run_import
from tests.tools.ostreerepo import fsck, heads
from tests.tools.tarbuild import Entry

#: Runs a command whose standard output is a pipe that has no reader any more.
UNREAD = """
import os, sys
read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def source(layout: Path) -> str:
    build_oci(layout, "t", [[Entry(b"f", content=b"x")]])
    return f"oci:{layout}:t"


def redirected(repo: Path, redirection: str, *arguments: str) -> Outcome:
    """A run by a shell that redirects it so."""
    return run_import(repo, *arguments, wrapper=["bash", "-c", f'exec "$0" "$@" {redirection}'])


def test_a_result_that_cannot_be_written_is_an_error(tmp_path: Path, source: str) -> None:
    repo = tmp_path / "repo"
    outcome = redirected(repo, ">/dev/full", source, "--quiet")
    assert outcome.status == 1
    assert outcome.stderr.splitlines() == [
        "error: the result cannot be written: No space left on device",
        "hint: the work itself is done; running the command again prints the same result",
    ]
    assert run_import(repo, source, "--quiet", "--unchanged-exit-77").status == 77


def test_a_result_that_nobody_reads_is_no_traceback(tmp_path: Path, source: str) -> None:
    wrapper = [sys.executable, "-c", UNREAD]
    outcome = run_import(tmp_path / "repo", source, "--quiet", "--json", wrapper=wrapper)
    assert outcome.status == 1
    assert outcome.stderr == ""


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&- 2>&-"])
@pytest.mark.parametrize("log", ["--verbose", "--log-json"])
def test_a_log_that_cannot_be_written_does_not_end_the_work(
    tmp_path: Path, source: str, redirection: str, log: str
) -> None:
    repo = tmp_path / "repo"
    outcome = redirected(repo, redirection, source, log)
    assert outcome.status == 0
    assert outcome.stdout.strip() in heads(repo).values()
    assert redirected(repo, redirection, "oci:/nowhere:t", log).status == 1


def test_an_encoding_that_lacks_a_character_is_no_traceback(
    tmp_path: Path, layout: Path, source: str
) -> None:
    """As in a locale of ISO 8859: a dry run tells of images less, with the minus sign."""
    build_oci(layout, "other", [[Entry(b"g", content=b"y")]])
    imported(tmp_path / "repo", "--branch=os/b", source)
    how: How = {"env": {"PYTHONIOENCODING": "latin-1"}, "script": True}
    outcome = run_import(tmp_path / "repo", "--branch=os/b", "-n", f"oci:{layout}:other", **how)
    assert outcome.status == 0
    assert r"branch os/b: +1 \u22121 images" in outcome.stdout


def test_descriptors_that_were_closed_are_nobody_elses(tmp_path: Path, source: str) -> None:
    repo = tmp_path / "repo"
    assert redirected(repo, "<&- >&- 2>&-", source, "--verbose").status == 0
    fsck(repo)


def test_an_import_ends_with_a_line_of_what_it_did(tmp_path: Path, source: str) -> None:
    """On standard error, and as an event; again, all is reused."""
    events = tmp_path / "events"
    first = redirected(tmp_path / "repo", f"7>{events}", source, "--branch=os/b", "--progress-fd=7")
    again = run_import(tmp_path / "repo", source, "--branch=os/b")
    done = r"1 image: 1 layer fetched and 0 reused, [\d.]+ k?B in [\d.]+ s"
    begun = first.stderr.splitlines()[0]
    assert re.fullmatch(r"layout:t: downloading 1 layer, \d+ B", begun)
    assert first.stderr.splitlines() == [
        begun,
        "layout:t: done",
        "branch os/b: first import, 1 image",
        first.stderr.splitlines()[-1],
    ]
    assert re.fullmatch(done, first.stderr.splitlines()[-1]), first.stderr
    assert re.fullmatch(done, json.loads(events.read_text().splitlines()[-1])["text"])
    done = r"1 image: 0 layers fetched and 1 reused, 0 B in [\d.]+ s; nothing changed"
    assert len(again.stderr.splitlines()) == 1
    assert re.fullmatch(done, again.stderr.splitlines()[-1]), again.stderr
