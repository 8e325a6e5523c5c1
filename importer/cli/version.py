"""The version, which pyproject.toml alone states."""

from __future__ import annotations

from importlib.metadata import version

PACKAGE = "import-image"
# What click fills in.
TEXT = "%(prog)s, version %(version)s"


def version_text(program: str) -> str:
    """Return the line that --version prints, as click would print it."""
    return TEXT % {"prog": program, "version": version(PACKAGE)}
