"""The result of --diff for standard output, and what --dry-run says of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.release.report import Report, plain

if TYPE_CHECKING:
    from importer.repo.reachable import Fetch
    from layers.errors import Fault
    from layers.release.diff import LayerDiff, ReleaseDiff
    from layers.release.release import Release


def names_document(release: Release) -> dict[str, str | None]:
    """Return a release's names, for JSON."""
    return {
        "arch": release.arch or None,
        "release": release.name or None,
        "version": release.version or None,
    }


def fault_document(fault: Fault) -> dict[str, str | None]:
    """Return an error, for JSON."""
    return {"error": str(fault), "hint": fault.hint or None}


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

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "unchanged": self.diff.is_empty,
            **self.changes_document(),
            "layers": self.layers.document() if self.layers else None,
            "device": self.device.document() if self.device else None,
        }

    def changes_document(self) -> dict[str, Any]:
        """Return the names and the changed images, for JSON."""
        return {
            **names_document(self.release),
            "old_release": self.diff.old or None,
            "changes": self.diff.document(),
        }

    def reasons_document(self) -> dict[str, Any]:
        """Return the reasons for a new commit other than images, for JSON."""
        return {
            "new_base": self.new_base,
            "new_options": list(self.new_options),
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

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {"unchanged": self.unchanged, "releases": [self.difference.document()]}

    def lines(self) -> list[str]:
        """Return the report for people as plain text."""
        return plain(self.reports())

    def reports(self) -> list[Report]:
        """Return the report for people."""
        return [self.difference.report()]
