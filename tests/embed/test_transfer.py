"""A program that moves nothing, and says nothing, does not keep us."""

import pytest

from importer.errors import FetchError
from importer.process import CommandError, run_transfer


def test_a_program_that_moves_nothing() -> None:
    with pytest.raises(FetchError, match=r"sleep has been silent for 0\.2 s"):
        run_transfer(["sleep", "600"], pass_fds=(), timeout=0.2)


def test_what_a_program_said() -> None:
    with pytest.raises(CommandError, match="ended with status 3: last words"):
        run_transfer(
            ["sh", "-c", "echo first; echo last words >&2; exit 3"], pass_fds=(), timeout=60
        )
    run_transfer(["true"], pass_fds=(), timeout=60)
