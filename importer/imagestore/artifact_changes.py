"""Compare the artifacts of two stores, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from layers.frozen import frozen

if TYPE_CHECKING:
    from importer.store.reader import StoreView
    from layers.storage.artifact import StoredArtifact


@frozen
class ArtifactChanges:
    """The artifacts that differ from store A to store B."""

    added: tuple[StoredArtifact, ...]  # [StoredArtifact]: a list of those that B alone has
    removed: tuple[StoredArtifact, ...]  # [StoredArtifact]: a list of those that A alone has
    # [StoredArtifact]: a list of those that have another digest in B, as in B
    changed: tuple[StoredArtifact, ...]
    unchanged: int  # number of artifacts that both have

    @classmethod
    def of(cls, old: StoreView | None, new: StoreView) -> Self:
        before = {artifact.label: artifact for artifact in (old.artifacts if old else ())}
        after = {artifact.label: artifact for artifact in new.artifacts}
        both = [(before[label], after[label]) for label in after if label in before]
        changed = [b for a, b in both if a.manifest.digest != b.manifest.digest]
        return cls(
            tuple(artifact for label, artifact in after.items() if label not in before),
            tuple(artifact for label, artifact in before.items() if label not in after),
            tuple(changed),
            len(both) - len(changed),
        )

    def by_sign(self) -> list[tuple[str, StoredArtifact, str]]:
        """Return the sign of each artifact that differs, and what is new of it."""
        return [
            *(("+", artifact, "new artifact") for artifact in self.added),
            *(("~", artifact, "another artifact") for artifact in self.changed),
            *(("-", artifact, "") for artifact in self.removed),
        ]
