"""The faults that `image-store verify` finds, and its result for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from importer.render.table import Block, Text, first_of, several, size
from layers.errors import printable

if TYPE_CHECKING:
    from importer.store.image import ImageView


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault of some images, a layer or a path; each may be empty.

    `images` are names or short ids, `layer` is the id that the layer has in the store. A path is
    below the layer's root if there is a layer, else below the store's. Findings sort by image,
    layer and path.
    """

    images: tuple[str, ...]
    layer: str
    path: str
    problem: str

    def __str__(self) -> str:
        layer = self.layer and f"layer {self.layer[:12]}"
        parts = (first_of(self.images), layer, self.path, self.problem)
        return ": ".join(part for part in parts if part)


@dataclass(slots=True)
class Findings:
    """Collects findings; the bytes of a path are made printable."""

    all: list[Finding] = field(default_factory=list)

    def add(
        self, problem: str, *, image: str = "", layer: str = "", path: bytes | str = b""
    ) -> None:
        """Add a finding, once: several images can lead to the same layer."""
        shown = printable(path) if isinstance(path, bytes) else path
        finding = Finding((image,) if image else (), layer, shown, problem)
        if finding not in self.all:
            self.all.append(finding)

    def named(self, images: list[ImageView]) -> list[Finding]:
        """Return all findings, each layer's with the images that have the layer."""
        return [
            replace(finding, images=_users(images, finding.layer))
            if finding.layer and not finding.images
            else finding
            for finding in self.all
        ]


def _users(images: list[ImageView], layer_id: str) -> tuple[str, ...]:
    users = (i.label for i in images if any(layer.id == layer_id for layer in i.layers))
    return tuple(sorted(users))


@dataclass(slots=True)
class Verified:
    """The result for one branch.

    `size` is the bytes of the tars that were rebuilt. `unverified` are layers that nothing can
    verify, since their tars are unknown.
    """

    branch: str
    images: int = 0
    layers: int = 0
    size: int = 0
    unverified: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def verdict(self) -> Text:
        """Return a line for the branch: the number of checked images and layers, and the result."""
        faults = several(len(self.findings), "fault") if self.findings else "ok"
        counts = f"{several(self.images, 'image')}, {several(self.layers, 'layer')}"
        return Text(
            f"{self.branch}: {counts}, {size(self.size)} of tars made again: {faults}",
            "red" if self.findings else "green",
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The results of all branches. The status is 1 if anything is wrong."""

    branches: list[Verified]

    @property
    def status(self) -> int:
        """Return 1 if anything is wrong, else 0."""
        return 1 if any(branch.findings for branch in self.branches) else 0

    def blocks(self) -> list[Block]:
        """Return a line for each finding, and a line for each branch."""
        blocks: list[Block] = []
        for branch in self.branches:
            blocks += [Text(f"{branch.branch}: {one}", "red") for one in branch.findings]
            blocks += [
                Text(f"{branch.branch}: layer {one[:12]}: nothing says what its tar was", "yellow")
                for one in branch.unverified
            ]
            blocks.append(branch.verdict())
        return blocks or [Text("no stores")]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: `ok`, and the findings of each branch."""
        return {
            "ok": self.status == 0,
            "branches": [self._branch(branch) for branch in self.branches],
        }

    def _branch(self, verified: Verified) -> dict[str, Any]:
        return {
            "branch": verified.branch,
            "images": verified.images,
            "layers": verified.layers,
            "tar_size": verified.size,
            "unverified_layers": verified.unverified,
            "findings": [
                {"images": list(f.images), "layer": f.layer, "path": f.path, "problem": f.problem}
                for f in verified.findings
            ],
        }
