"""The plan that --dry-run prints to standard output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.commit.branch_head import losses
from importer.commit.images import image_message
from importer.commit.result import identity
from importer.render.table import several
from importer.repo.commit_keys import FLATTEN, LAYER_IDS, STORE_WHITEOUTS

if TYPE_CHECKING:
    from importer.commit.plan import LayerPlan, Plan, PlannedBranch
    from importer.commit.target import Target
    from importer.ingest.missing_layer import MissingLayer
    from layers.storage.image import Image

    type Json = dict[str, object]

# They are absent where the store is as it always was.
_KIND = (LAYER_IDS, STORE_WHITEOUTS, FLATTEN)


@dataclass(frozen=True, slots=True)
class DryRun:
    """A plan that is not executed."""

    target: Target
    plan: Plan

    @property
    def incomplete(self) -> bool:
        """Return whether requested images are missing: never, since a plan has all images."""
        return False

    @property
    def unchanged(self) -> bool:
        """Return whether the import would fetch nothing and move no branch.

        A branch is compared by its commit's metadata: the images, the time, the subject, the
        base, and the form, prefix and flattening of the store. What the metadata does not record,
        such as SELinux labels, is not compared.
        """
        return not self.plan.layers.missing and not any(map(self._moves, self.plan.branches))

    def _moves(self, branch: PlannedBranch) -> bool:
        if branch.head is None:
            return True
        said = branch.head.message
        would = image_message(self.target, branch)
        before, after = branch.head.metadata, dict(would.metadata)
        return (said.subject, said.timestamp, said.body) != (
            would.subject,
            would.timestamp,
            would.body,
        ) or any(before.get(one) != after.get(one) for one in {*after, *_KIND})

    def lines(self) -> list[str]:
        """Return the text: a line for each layer to be fetched, for each branch, and for each that
        loses images, then a sum."""
        layers, branches = self.plan.layers, self.plan.branches
        commits = [f"commit {branch_line(one)}" for one in branches]
        lost = [
            line
            for one in branches
            for line in losses(one.name, one.head, image_message(self.target, one))
        ]
        return [*fetch_lines(layers), *commits, *lost, sum_line(layers, len(self.plan.images))]

    def document(self) -> Json:
        """Return the JSON document:

        {"dry_run": true, "unchanged": false, "fetch_bytes": BYTES,
         "fetch": [{"layer_id", "diff_id", "digest", "size": BYTES, "images": COUNT,
                    "from": [SOURCE, ...]}, ...],
         "branches": [{"branch", "commit": CHECKSUM or null, "base": CHECKSUM or null,
                       "images": [REFERENCE, ...]}, ...],
         "images": [{"reference", "digest", "image_id", "names": [NAME, ...],
                     "layers": [{"digest", "diff_id", "layer_id", "cached": BOOL,
                                 "size": BYTES}, ...]}, ...]}

        `fetch` lists the missing layers in the order of the plan, `commit` is the branch's commit
        now, `cached` says that the repo has the layer.
        """
        layers = self.plan.layers
        return {
            "dry_run": True,
            "unchanged": self.unchanged,
            "fetch_bytes": layers.size,
            "fetch": [fetched(one) for one in layers.missing],
            "branches": [_branch(one) for one in self.plan.branches],
            "images": [described(one, layers) for one in self.plan.images],
        }


def fetch_lines(layers: LayerPlan) -> list[str]:
    """Return a line for each layer that would be read."""
    return [
        f"fetch {one.layer.blob.digest} {one.size:,} bytes from {one.origins[0].source}"
        for one in layers.missing
    ]


def branch_line(branch: PlannedBranch) -> str:
    """Return one line of what would be committed."""
    onto = f" onto {branch.base.commit.checksum}" if branch.base is not None else ""
    return f"{branch.name}: {several(len(branch.images), 'image')}{onto}"


def sum_line(layers: LayerPlan, images: int) -> str:
    """Return the sum of a plan as one line."""
    return (
        f"would import {several(images, 'image')}:"
        f" {several(len(layers.missing), 'layer')} to fetch, {several(layers.size, 'byte')};"
        f" {several(len(layers.cached), 'layer')} in the repo"
    )


def fetched(missing: MissingLayer) -> Json:
    """Return a layer that would be read, for JSON."""
    layer = missing.layer
    return {
        "layer_id": layer.id,
        "diff_id": str(layer.diff_id),
        "digest": str(layer.blob.digest),
        "size": missing.size,
        "images": missing.waiting,
        "from": [origin.source for origin in missing.origins],
    }


def _branch(branch: PlannedBranch) -> Json:
    return {
        "branch": branch.name,
        "commit": branch.head.checksum if branch.head is not None else None,
        "base": branch.base.commit.checksum if branch.base is not None else None,
        "images": [str(image.reference) for image in branch.images],
    }


def described(image: Image, layers: LayerPlan) -> Json:
    """Return an image for JSON."""
    return {
        **identity(image),
        "layers": [
            {
                "digest": str(layer.blob.digest),
                "diff_id": str(layer.diff_id),
                "layer_id": layer.id,
                "cached": layer.id in layers.cached,
                "size": layer.blob.size,
            }
            for layer in image.layers
        ],
    }
