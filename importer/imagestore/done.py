"""The exit status of a subcommand that has done what was asked."""

from __future__ import annotations


class Done:
    """Base of results that are only shown: their command ends with status 0."""

    __slots__ = ()

    @property
    def status(self) -> int:
        """Return 0."""
        return 0
