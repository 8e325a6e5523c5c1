"""The result of --diff for standard output, and what --dry-run says of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.release.report import Report, plain

if TYPE_CHECKING:
    from importer.repo.reachable import Fetch
    from layers.errors import Fault
    from layers.release.diff import LayerDiff, ReleaseDiff
    from layers.release.release import Release


def release_names(release: Release) -> dict[str, object]:
    """Return a release's names, for JSON."""
    return {
        # the architecture, in Go's words (`amd64`, `arm64` …)
        "arch": release.arch or None,
        "release": release.name or None,  # the release's name
        "version": release.version or None,  # its version
    }


def fault_keys(fault: Fault) -> dict[str, object]:
    """Return an error, for JSON."""
    return {
        "error": str(fault),  # the error's line
        "hint": fault.hint or None,  # what to do
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two releases; `layers` and `device` only if both are in the repo.

    --dry-run compares the branch's commit with the release. `new_base` tells that this commit was
    made from another commit of the operating system than --onto is at now. `new_options` are
    options whose values it was not made with. `first_release` tells that another command made it.
    """

    release: Release
    diff: ReleaseDiff
    layers: LayerDiff | None = None
    device: Fetch | None = None
    new_base: bool = False
    new_options: tuple[str, ...] = ()
    first_release: bool = False

    def _besides(self) -> list[str]:
        """Return the changes other than images, for people."""
        found = {
            "another operating system": self.new_base,
            f"other values of {', '.join(self.new_options)}": self.new_options,
            "the branch's first release": self.first_release,
        }
        return [text for text, is_so in found.items() if is_so]

    def document(self) -> dict[str, object]:
        """Return the keys for JSON."""
        return {
            "unchanged": self.diff.is_empty,  # whether both have the same images
            **self.changes_keys(),
            # LayerDiff: counts of layers and the bytes of the unpacked tars, or `null` where one
            # side is not in the repo
            "layers": self.layers,
            # Fetch: what a device fetches, if both are commits of the repo; else `null`
            "device": self.device,
        }

    def changes_keys(self) -> dict[str, object]:
        """Return the names and the changed images, for JSON."""
        return {
            **release_names(self.release),
            "old_release": self.diff.old or None,  # the name of the old one, or `null`
            "changes": self.diff,  # ReleaseDiff: what changed
        }

    def reasons_keys(self) -> dict[str, object]:
        """Return the reasons for a new commit other than images, for JSON."""
        return {
            # whether the operating system of `--onto` has another commit
            "new_base": self.new_base,
            # the options whose values differ from the branch's commit
            "new_options": self.new_options,
            # whether another command made the commit that is on the branch
            "first_release": self.first_release,
        }

    def report(self) -> Report:
        """Return the report for people."""
        found = self.layers
        amounts = (
            {
                "new in the release": found.new,
                "kept": found.kept,
                "no longer needed": found.obsolete,
            }
            if found
            else {}
        )
        return Report(
            self.diff,
            self.release.arch,
            amounts,
            besides=tuple(self._besides()),
            device=str(self.device or ""),
        )


@dataclass(frozen=True, slots=True)
class DiffResult:
    """The result of --diff."""

    difference: Difference

    @property
    def unchanged(self) -> bool:
        """Return whether both have the same images."""
        return self.difference.diff.is_empty

    def document(self) -> dict[str, object]:
        """Return the keys for JSON."""
        return {
            "unchanged": self.unchanged,  # whether both have the same images
            "releases": [self.difference],  # [Difference]: a list with one element
        }

    def lines(self) -> list[str]:
        """Return the report for people as plain text."""
        return plain(self.reports())

    def reports(self) -> list[Report]:
        """Return the report for people."""
        return [self.difference.report()]
