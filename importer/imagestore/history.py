"""`image-store history`: list the commits of a branch, and what each changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.imagestore.diff import StoreDiff, store_diff
from importer.render.table import Block, Shown, Text
from importer.repo.reachable import ancestors
from importer.store.reader import revision, store_in
from layers.frozen import frozen
from layers.words import size

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo


@frozen
class Step:
    """A commit. `diff` compares its store with its parent's; it is None if the commit has no
    store.
    """

    commit: Commit
    diff: StoreDiff | None

    def blocks(self) -> list[Block]:
        """Return the commit as `ostree log` shows it, with the images that changed."""
        when = datetime.fromtimestamp(self.commit.message.timestamp, UTC).isoformat()
        lines: list[Block] = [
            Text(f"commit {self.commit.checksum}", "yellow"),
            Text(f"date:   {when}"),
            Text(f"        {self.commit.message.subject}"),
        ]
        if self.diff is None:
            return [*lines, Text("images: no store"), Text("")]
        lines.append(
            Text(f"images: {self.diff.summary()}; {size(self.diff.fetch.bytes)} of new objects")
        )
        lines += [Text(f"  + {image.full_label}", "green") for image in self.diff.added]
        lines += [Text(f"  ~ {change.new.full_label}", "cyan") for change in self.diff.changed]
        lines += [Text(f"  - {image.full_label}", "red") for image in self.diff.removed]
        changes = self.diff.artifacts.by_sign()
        lines += [Text(f"  {sign} artifact {each.label}") for sign, each, _ in changes]
        return [*lines, Text("")]

    def document(self) -> dict[str, object]:
        return {
            "commit": self.commit.checksum,  # the checksum
            "timestamp": self.commit.message.timestamp,  # seconds since 1970
            "subject": self.commit.message.subject,  # its subject
            # StoreDiff: what changed since the commit before; `null` if there is no store to
            # compare
            "changes": self.diff,
        }


@frozen
class History(Shown):
    """The commits, newest first. `missing` is the last one's parent if the repo lacks it."""

    branch: str
    steps: tuple[Step, ...]
    missing: str | None

    def blocks(self) -> list[Block]:
        blocks = [block for step in self.steps for block in step.blocks()]
        if self.missing:
            return [*blocks, Text(f"its parent {self.missing} is not in this repo")]
        return blocks[:-1]

    def document(self) -> dict[str, object]:
        return {
            "branch": self.branch,  # the branch
            "commits": self.steps,  # [Step]: a list, newest first
            # the first parent that the repo has no longer, or `null`
            "missing_parent": self.missing,
        }


def store_history(repo: Repo, branch: str, prefix: str | None) -> History:
    """Follow a branch from its head to the first commit that the repo has.

    Commits of import-image have no parent. Raise ImporterError if there is no such branch.
    """
    commits = list(ancestors(repo, revision(repo, branch)))
    stores = [store_in(repo, commit, prefix) for commit in commits]
    steps = [
        Step(commit, store_diff(repo, old, new) if new else None)
        for commit, new, old in zip(commits, stores, [*stores[1:], None], strict=True)
    ]
    return History(branch, tuple(steps), repo.parent(commits[-1].checksum))
