"""The faults that `image-store verify` finds, and its result for people and as JSON."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from importer.render.table import Block, Text
from layers.errors import Fault, printable
from layers.frozen import frozen
from layers.words import first_of, several, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.store.image import ImageView


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault of some images, a layer or a path. Findings sort by image, layer and path."""

    images: tuple[str, ...]  # names or short ids of the images that have the fault
    layer: str  # the id that the layer has in the store, or empty
    path: str  # the path below the layer's root, else below the store's, or empty
    problem: str  # what is wrong

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

    @contextmanager
    def faults(
        self, *, image: str = "", layer: str = "", path: bytes | str = b""
    ) -> Iterator[None]:
        """Add the Fault that ends the context, if one does."""
        try:
            yield
        except Fault as error:
            self.add(error.message, image=image, layer=layer, path=path)

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
    branch: str  # the branch
    images: int = 0  # number of images
    layers: int = 0  # number of layers
    artifacts: int = 0  # number of artifacts
    tar_size: int = 0  # bytes of the layers' tars and artifacts' blobs, which were verified
    # ids of layers whose tar is unknown, so that nothing can verify them
    unverified_layers: list[str] = field(default_factory=list)
    # [Finding]: a list of faults, empty if the store is sound
    findings: list[Finding] = field(default_factory=list)

    def verdict(self) -> Text:
        """Return a line for the branch: the number of checked images and layers, and the result."""
        faults = several(len(self.findings), "fault") if self.findings else "ok"
        counts = f"{several(self.images, 'image')}, {several(self.layers, 'layer')}"
        counts += f", {several(self.artifacts, 'artifact')}" if self.artifacts else ""
        return Text(
            f"{self.branch}: {counts}, {size(self.tar_size)} verified: {faults}",
            "red" if self.findings else "green",
        )


@frozen
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
            blocks += [Text(f"{branch.branch}: {finding}", "red") for finding in branch.findings]
            blocks += [
                Text(
                    f"{branch.branch}: layer {layer[:12]}: nothing says what its tar was", "yellow"
                )
                for layer in branch.unverified_layers
            ]
            blocks.append(branch.verdict())
        return blocks or [Text("no stores")]

    def document(self) -> dict[str, object]:
        return {
            "ok": self.status == 0,  # whether there are no findings
            "branches": self.branches,  # [Verified]: a list
        }
