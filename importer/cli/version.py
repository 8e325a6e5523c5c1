"""The version, which pyproject.toml alone states."""

from __future__ import annotations

PACKAGE = "import-image"
# What click fills in.
TEXT = "%(prog)s, version %(version)s"


def version_text(program: str) -> str:
    """Return the line that --version prints, as click would print it."""
    from importlib.metadata import version  # takes longer to load than click

    return TEXT % {"prog": program, "version": version(PACKAGE)}
