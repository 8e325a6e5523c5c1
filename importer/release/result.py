"""The results of import-release, --check and --diff, for standard output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from importer.cache.omitted import counted
from importer.commit.result import described
from layers.release.diff import Amount, packed
from layers.release.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.release.commit import ReleaseCommit
    from importer.release.gather_images import Gathered
    from importer.repo.fetch_cost import Fetch
    from importer.store.lost import Lost
    from layers.errors import Fault
    from layers.release.diff import LayerDiff, LayerSize, ReleaseDiff
    from layers.release.release import Release
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class Imported:
    """A release that was imported for one architecture.

    `dropped` are the commits that --keep deleted. `device` is what a device with the branch's
    last commit fetches for the new one, None if there is no last commit or it is the same.
    """

    branch: str
    release: Release
    commit: ReleaseCommit
    diff: ReleaseDiff
    layers: LayerDiff
    sizes: Mapping[str, LayerSize]
    gathered: Gathered
    dropped: tuple[str, ...]
    device: Fetch | None
    kept: tuple[Image, ...]
    lost: Lost

    def amounts(self) -> dict[str, Amount]:
        """Return the layers by what became of them; see docs/reference/import-release.md."""
        fetched = self.gathered.fetched
        new = packed(size for one, size in self.sizes.items() if one in fetched)
        return {
            "fetched": new,
            "re-used": packed(size for one, size in self.sizes.items() if one not in fetched),
            "new in ostree": Amount(new.layers, self.gathered.written_bytes),
            "new in the release": self.layers.new,
            "no longer needed": self.layers.obsolete,
        }

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "branch": self.branch,
            "commit": self.commit.checksum,
            "parent": self.commit.parent,
            "unchanged": self.commit.unchanged,
            **release_document(self.release),
            "changes": self.diff.document(),
            "layers": {_key(name): one.document() for name, one in self.amounts().items()},
            "device": self.device.document() if self.device else None,
            "failed": {name: fault_document(one) for name, one in self.gathered.faults.items()},
            "dropped_commits": list(self.dropped),
            "kept_images": [
                {"image_id": one.id, "names": list(one.names), "release": one.kept_from}
                for one in self.kept
            ],
            "lost": self.lost.document(),
            "images": [
                {"component": name} | self._image(image)
                for name, image in self.gathered.images.items()
            ],
        }

    def _image(self, image: Image) -> dict[str, Any]:
        gathered = self.gathered
        ids, added = self.commit.store_ids, self.commit.added_entries
        fetched, readers = gathered.fetched, gathered.readers
        return described(image, gathered.layers, fetched, ids, added, readers)

    def report(self) -> Report:
        """Return the report for people."""
        failed = {name: str(fault) for name, fault in self.gathered.faults.items()}
        device = str(self.device or "")
        return Report(self.diff, self.release.arch, self.amounts(), failed, device=device)


def release_document(release: Release) -> dict[str, str | None]:
    """Return a release's names, for JSON."""
    return {
        "arch": release.arch or None,
        "release": release.name or None,
        "version": release.version or None,
    }


def _key(name: str) -> str:
    return name.replace(" ", "_").replace("-", "")


def fault_document(fault: Fault) -> dict[str, str | None]:
    """Return an error, for JSON."""
    return {"error": str(fault), "hint": fault.hint or None}


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """One part for each architecture; `updated` are paths of the files that were rewritten."""

    parts: tuple[Imported, ...]
    fetched_bytes: int
    updated: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Return whether no ref was moved, and no file rewritten."""
        return all(part.commit.unchanged for part in self.parts) and not self.updated

    @property
    def incomplete(self) -> bool:
        """Return whether images are missing that could not be imported."""
        return any(part.gathered.faults for part in self.parts)

    def summary(self, seconds: float) -> str:
        """Return what the import did in so many seconds, as one line for people."""
        images = sum(len(part.gathered.images) for part in self.parts)
        fetched = sum(len(part.gathered.fetched) for part in self.parts)
        layers = sum(len(part.gathered.layers) for part in self.parts)
        branches = ", ".join(part.branch for part in self.parts)
        return (
            f"{counted(images, 'image')}: {counted(fetched, 'layer')} fetched and"
            f" {layers - fetched} reused, {self.fetched_bytes:,} bytes in {seconds:.1f} s;"
            f" branch {branches}"
        )

    def lines(self) -> list[str]:
        """Return the commits' checksums."""
        return [part.commit.checksum for part in self.parts]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. `commit` and `branch` are null unless there is exactly one."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return {
            "commit": only.commit.checksum if only else None,
            "branch": only.branch if only else None,
            "unchanged": self.unchanged,
            "fetched_bytes": self.fetched_bytes,
            "updated_files": list(self.updated),
            "releases": [part.document() for part in self.parts],
        }

    def reports(self) -> list[Report]:
        """Return the reports for people, one for each architecture."""
        return [part.report() for part in self.parts]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two releases; `layers` and `device` only if both are in the repo.

    `before` is the release of the branch's commit. `new_base` tells that this commit was made
    from another commit of the operating system than --onto is at now. `new_options` are options
    whose values it was not made with. `first_release` tells that another command made it.
    """

    release: Release
    diff: ReleaseDiff
    branch: str | None = None
    layers: LayerDiff | None = None
    before: Release | None = None
    device: Fetch | None = None
    new_base: bool = False
    new_options: tuple[str, ...] = ()
    first_release: bool = False

    @property
    def unchanged(self) -> bool:
        """Return whether there is nothing new."""
        return self.diff.is_empty and not self._besides()

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
            "branch": self.branch,
            "unchanged": self.unchanged,
            "new_base": self.new_base,
            "new_options": list(self.new_options),
            "first_release": self.first_release,
            **release_document(self.release),
            "old_release": self.diff.old or None,
            "changes": self.diff.document(),
            "layers": self.layers.document() if self.layers else None,
            "device": self.device.document() if self.device else None,
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
    """The result of --check and --diff. `updated` are paths of files that an import would
    rewrite."""

    parts: tuple[Difference, ...]
    updated: tuple[str, ...] = ()
    incomplete: bool = field(default=False, init=False)

    @property
    def unchanged(self) -> bool:
        """Return whether there is nothing new."""
        return all(part.unchanged for part in self.parts) and not self.updated

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "unchanged": self.unchanged,
            "updated_files": list(self.updated),
            "releases": [part.document() for part in self.parts],
        }

    def reports(self) -> list[Report]:
        """Return the reports for people, one for each architecture."""
        return [part.report() for part in self.parts]
