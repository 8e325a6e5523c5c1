"""The result of a release, for JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.release.difference import fault_document, names_document
from layers.release.diff import Amount, packed
from layers.release.report import Report

if TYPE_CHECKING:
    from importer.release.outcome import ReleaseOutcome
    from importer.run.result import Made, Result


def reports(result: Result) -> list[Report]:
    """Return the reports on releases for people."""
    return [
        Report(
            outcome.diff,
            outcome.release.arch,
            _amounts(made, outcome),
            {name: str(fault) for name, fault in made.commit.branch.faults.items()},
            device=str(outcome.device or ""),
        )
        for made, outcome in result.releases
    ]


def _amounts(made: Made, outcome: ReleaseOutcome) -> dict[str, Amount]:
    """Return the layers by what became of them; see docs/reference/import-release.md."""
    fetched, sizes = made.read.fetched, outcome.sizes
    new = packed(size for one, size in sizes.items() if one in fetched)
    return {
        "fetched": new,
        "re-used": packed(size for one, size in sizes.items() if one not in fetched),
        "new in ostree": Amount(new.layers, made.read.written_bytes),
        "new in the release": outcome.layers.new,
        "no longer needed": outcome.layers.obsolete,
    }


def release_document(made: Made, outcome: ReleaseOutcome) -> dict[str, Any]:
    """Return a release for JSON."""
    commit, branch = made.commit, made.commit.branch
    amounts = _amounts(made, outcome).items()
    images = zip(branch.components, made.images(), strict=True)
    return {
        "branch": branch.name,
        "commit": commit.checksum,
        "parent": commit.parent,
        "unchanged": commit.unchanged,
        **names_document(outcome.release),
        "changes": outcome.diff.document(),
        "layers": {_key(name): one.document() for name, one in amounts},
        "device": outcome.device.document() if outcome.device else None,
        "failed": {name: fault_document(one) for name, one in branch.faults.items()},
        "dropped_commits": list(outcome.dropped),
        "kept_images": [
            {"image_id": one.id, "names": list(one.names), "release": one.kept_from}
            for one in branch.kept
        ],
        "lost": outcome.lost.document(),
        "images": [{"component": name} | image for name, image in images],
    }


def _key(name: str) -> str:
    return name.replace(" ", "_").replace("-", "")
