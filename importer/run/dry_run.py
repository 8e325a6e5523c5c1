"""Plan an import without executing it, and print the plan: --dry-run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.plan import repo_to_plan_with
from importer.release.head import release_of
from importer.release.outcome import Difference, fault_keys
from importer.run.import_all import check_faults, check_one_store, check_place, check_repo
from importer.run.rehearsed import Rehearsed, rehearsed
from importer.run.result import identity_keys
from layers.frozen import frozen
from layers.words import several

if TYPE_CHECKING:
    from importer.commit.plan import LayerPlan, Plan, PlannedPart
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.run.import_all import ImportJob
    from layers.release.report import Report
    from layers.storage.image import Image

    type Json = dict[str, object]


def plan_import(job: ImportJob, progress: Progress) -> DryRun:
    """Return the plan of `import_all`. The repo is only read; a missing one is not created."""
    check_place(job)
    with repo_to_plan_with(job.target.repo) as repo:
        check_repo(job, repo)
        with job.source.planned(job.target, repo, progress) as plan:
            check_one_store(job, plan)
            check_faults(plan.branches, keep_going=job.keep_going)
            branches = tuple(
                rehearsed(job.target, repo, branch, part.layers)
                for part in plan.parts
                for branch in part.branches
            )
            return DryRun(plan, branches, _updated(job, repo, plan), job.copy is not None)


def _updated(job: ImportJob, repo: Repo, plan: Plan) -> tuple[str, ...]:
    if job.files is None:
        return ()
    releases = [branch.release for branch in plan.branches if branch.release is not None]
    branches = [branch for branch in plan.branches if branch.release is not None]
    before = [release_of(repo, branch.head, branch.name) for branch in branches]
    return job.files.changed(releases, before)


@frozen
class DryRun:
    """A plan that is not executed. `updated` are paths of files that would be rewritten. `copies`
    tells that the store would be copied (--to)."""

    plan: Plan
    branches: tuple[Rehearsed, ...]
    updated: tuple[str, ...]
    copies: bool

    @property
    def incomplete(self) -> bool:
        """Return whether components of a release could not be found."""
        return any(branch.branch.faults for branch in self.branches)

    @property
    def unchanged(self) -> bool:
        """Return whether the import would fetch nothing, move no branch and write no file. A copy
        counts as a change, since an import alone compares the copy with the store."""
        missing = any(part.layers.missing for part in self.plan.parts)
        moves = any(branch.moves for branch in self.branches)
        return not (missing or moves or self.updated or self.copies)

    def lines(self) -> list[str]:
        """Return the text: a line for each layer to be fetched, for each branch and what its
        commit changes, then a sum."""
        return [line for part in self.plan.parts for line in self._lines(part)]

    def _lines(self, part: PlannedPart) -> list[str]:
        layers = part.layers
        own = [branch for branch in self.branches if branch.layers is layers]
        faults = [pair for rehearsed in own for pair in rehearsed.branch.faults.items()]
        return [
            *(_fetch_line(missing) for missing in layers.missing),
            *(branch.line() for branch in own if branch.moves or branch.difference is None),
            *(branch.change for branch in own if branch.moves and branch.change),
            *(f"component {name}: {fault}" for name, fault in faults),
            _sum_line(layers, len(part.images), len(part.artifacts)),
        ]

    def reports(self) -> list[Report]:
        return [
            branch.difference.report() for branch in self.branches if branch.difference is not None
        ]

    def document(self) -> Json:
        of_releases = any(branch.difference for branch in self.branches)
        return rehearsed_releases(self) if of_releases else rehearsed_images(self)


def rehearsed_run(run: DryRun) -> Json:
    """Return the keys that any dry run has."""
    return {
        "dry_run": True,  # `true`
        # whether an import would change nothing; `false` with `--to`, whose copy is not compared.
        # `import-image` and `import-storage` do not compare what their commits do not record:
        # `--selinux-label`, `--selinux-policy`, `--storage-conf` and `--crio-conf`
        "unchanged": run.unchanged,
        # bytes of the blobs that it would read
        "fetch_bytes": sum(part.layers.size for part in run.plan.parts),
    }


def rehearsed_images(run: DryRun) -> Json:
    parts = run.plan.parts
    return {
        **rehearsed_run(run),
        # [MissingLayer]: the missing layers, in the order in which they would be fetched
        "fetch": [layer for part in parts for layer in part.layers.missing],
        # a list of the branches that would be committed to
        "branches": [
            {
                **branch.branch.document(),  # PlannedBranch
                # the references of its images
                "images": [image.reference for image in branch.branch.images],
                # the references of its artifacts
                "artifacts": [artifact.reference for artifact in branch.branch.artifacts],
            }
            for branch in run.branches
        ],
        # [planned_keys]: in the order of the command line; an image with several names is there
        # for each
        "images": [planned_keys(image, part.layers) for part in parts for image in part.images],
    }


def rehearsed_releases(run: DryRun) -> Json:
    return {
        **rehearsed_run(run),
        "updated_files": run.updated,  # the files of sources that the run would change
        # [rehearsed_release]: one element for each architecture
        "releases": [
            rehearsed_release(branch, branch.difference)
            for branch in run.branches
            if branch.difference is not None
        ],
    }


def rehearsed_release(rehearsed: Rehearsed, difference: Difference) -> Json:
    branch, layers = rehearsed.branch, rehearsed.layers
    return {
        **branch.document(),  # PlannedBranch
        "unchanged": not rehearsed.moves,  # whether the run would make no commit
        **difference.reasons_keys(),
        **difference.changes_keys(),
        "fetch_bytes": layers.size,  # bytes of the blobs that would be read
        # [MissingLayer]: the missing layers, in the order in which they would be fetched
        "fetch": layers.missing,
        # {fault_keys}: with `--keep-going`, by component, what failed; else `{}`
        "failed": {name: fault_keys(fault) for name, fault in branch.faults.items()},
        # a list of images
        "images": [
            {
                "component": name,  # the image's name in the release
                **planned_keys(image, layers),
            }
            for name, image in branch.by_component.items()
        ],
    }


def _fetch_line(missing: MissingLayer) -> str:
    source = missing.origins[0].source
    return f"fetch {missing.layer.blob.digest} {missing.size:,} bytes from {source}"


def _sum_line(layers: LayerPlan, images: int, artifacts: int) -> str:
    also, noun = (f", {several(artifacts, 'artifact')}", "blob") if artifacts else ("", "layer")
    return (
        f"would import {several(images, 'image')}{also}:"
        f" {several(len(layers.missing), noun)} to fetch, {several(layers.size, 'byte')};"
        f" {several(len(layers.cached), noun)} in the repo"
    )


def planned_keys(image: Image, layers: LayerPlan) -> Json:
    return {
        **identity_keys(image),
        # a list, lowest layer first
        "layers": [
            {
                "digest": layer.blob.digest,  # the blob's digest
                "diff_id": layer.diff_id,  # the uncompressed tar's digest
                "layer_id": layer.id,  # the layer's id, of which its branches are named
                "cached": layer.id in layers.cached,  # whether the repo has the layer
                "size": layer.blob.size,  # size of the blob
            }
            for layer in image.layers
        ],
    }
