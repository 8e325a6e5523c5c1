"""The result of `import-release --dry-run`, for standard output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.commit.dry_run import described, fetch_lines, fetched, sum_line
from importer.commit.plan import repo_to_plan_with
from importer.commit.signing import check_keys
from importer.release.commit import is_onto, release_of
from importer.release.files import changed_files
from importer.release.import_release import check_faults
from importer.release.parts import opened_parts
from importer.release.plan import plan_parts
from importer.release.recorded_options import new_options
from importer.release.result import fault_document, release_document
from layers.release.diff import compare

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.release.job import ReleaseJob
    from importer.release.plan import PartPlan
    from importer.repo.writer import Repo
    from layers.release.diff import ReleaseDiff

    type Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """The plan of a release for one architecture.

    `diff` compares it with the branch's commit. `unchanged` tells that nothing would be fetched
    and the branch would stay.
    """

    plan: PartPlan
    diff: ReleaseDiff
    unchanged: bool

    def lines(self) -> list[str]:
        """Return the text: layers to fetch, commits to make, images that fail, and a sum."""
        plan = self.plan
        onto = f" onto {plan.base.commit.checksum}" if plan.base is not None else ""
        commit = f"commit {plan.branch}: {len(plan.images)} images{onto}"
        failed = [f"component {name}: {fault}" for name, fault in plan.faults.items()]
        return [
            *fetch_lines(plan.layers),
            *([] if self.unchanged else [commit]),
            *failed,
            sum_line(plan.layers, len(plan.images)),
        ]

    def document(self) -> Json:
        """Return the part for JSON, see `ReleaseDryRun`."""
        plan = self.plan
        return {
            "branch": plan.branch,
            "commit": plan.head.checksum if plan.head is not None else None,
            "base": plan.base.commit.checksum if plan.base is not None else None,
            "unchanged": self.unchanged,
            **release_document(plan.release),
            "changes": self.diff.document(),
            "fetch_bytes": plan.layers.size,
            "fetch": [fetched(one) for one in plan.layers.missing],
            "failed": {name: fault_document(one) for name, one in plan.faults.items()},
            "images": [
                {"component": name} | described(image, plan.layers)
                for name, image in plan.images.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class ReleaseDryRun:
    """A plan, one part for each architecture. `updated` are paths of files to rewrite."""

    parts: tuple[PlannedPart, ...]
    updated: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Return whether the import would fetch nothing, move no branch and rewrite no file."""
        return all(part.unchanged for part in self.parts) and not self.updated

    @property
    def incomplete(self) -> bool:
        """Return whether images could not be resolved."""
        return any(part.plan.faults for part in self.parts)

    def lines(self) -> list[str]:
        """Return the text of all parts."""
        return [line for part in self.parts for line in part.lines()]

    def document(self) -> Json:
        """Return the JSON document:

        {"dry_run": true, "unchanged": BOOL, "fetch_bytes": BYTES, "updated_files": [PATH, ...],
         "releases": [{"branch", "commit": CHECKSUM or null, "base": CHECKSUM or null,
                       "unchanged": BOOL, "arch", "release", "version", "changes": {...},
                       "fetch_bytes": BYTES, "fetch": [...], "failed": {...},
                       "images": [{"component", ...}, ...]}, ...]}

        `fetch` and `images` are those of `importer.commit.dry_run.DryRun`; `arch` to `changes`,
        and `failed`, are those of an import's document.
        """
        return {
            "dry_run": True,
            "unchanged": self.unchanged,
            "fetch_bytes": sum(part.plan.layers.size for part in self.parts),
            "updated_files": list(self.updated),
            "releases": [part.document() for part in self.parts],
        }


def plan_release(job: ReleaseJob, progress: Progress) -> ReleaseDryRun:
    """Return the plan of `import_release`. Nothing is written; a missing repo is not created.

    Raise Failures if images cannot be resolved, unless `job.keep_going`.
    """
    with repo_to_plan_with(job.target.repo) as repo, opened_parts(job.origin, progress) as parts:
        repo.check_writable()
        check_keys(repo, job.target.signing)
        plans = plan_parts(job, repo, parts)
        check_faults([one.release.arch for one in plans], plans, keep_going=job.keep_going)
        planned = tuple(_part(job, repo, plan) for plan in plans)
        before = [release_of(repo, plan.head, plan.branch) for plan in plans]
        files = changed_files(job, [plan.release for plan in plans], before)
        return ReleaseDryRun(planned, files)


def _part(job: ReleaseJob, repo: Repo, plan: PartPlan) -> PlannedPart:
    head = plan.head
    diff = compare(release_of(repo, head, plan.branch), plan.release)
    same = head is not None and is_onto(head, plan.base) and not new_options(head, job.target)
    return PlannedPart(plan, diff, same and diff.is_empty and not plan.layers.missing)
