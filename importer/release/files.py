"""The files that import-release writes beside the commit: --lock and --update-json."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.replacement import Replacement, check_replaceable, read_file
from importer.release.sources import advising
from layers.document import MAX_DOCUMENT_SIZE
from layers.release.lock import Locked, check_lockable, lock_document
from layers.release.microshift_json import updated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from importer.release.job import ReleaseJob
    from layers.release.release import Release


def check_files(job: ReleaseJob, releases: Sequence[Release]) -> None:
    """Raise ImporterError for what is wrong with the files to be written, before anything is
    fetched."""
    for path in [*filter(None, [job.lock]), *(path for _, path in job.updates)]:
        check_replaceable(path)
    for arch, path in job.updates:
        _updated(arch, path, releases)
    for release in releases if job.lock else ():
        for component in release.components.values():
            check_lockable(component)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files that are written, but not in their places yet."""

    lock: Replacement | None
    updates: tuple[Replacement, ...]

    def publish(self) -> tuple[str, ...]:
        """Put the files into their places. Return the release files that have changed."""
        if self.lock is not None:
            self.lock.publish()
        return tuple(str(file.path) for file in self.updates if file.publish())


@contextmanager
def prepared(job: ReleaseJob, locked: Sequence[Locked]) -> Iterator[Prepared]:
    """Write the job's files about these releases, so that what can go wrong goes wrong before the
    commit. What is not published is removed at the end."""
    releases = [one.release for one in locked]
    content = lock_document({one.release.arch: one for one in locked}) if job.lock else b""
    updates = [(path, _updated(arch, path, releases)) for arch, path in job.updates]
    with ExitStack() as stack:
        lock = stack.enter_context(Replacement(job.lock, content)) if job.lock else None
        files = tuple(stack.enter_context(Replacement(*one)) for one in updates)
        yield Prepared(lock, files)


def changed_files(job: ReleaseJob, releases: Sequence[Release]) -> tuple[str, ...]:
    """Return the release files that the job would rewrite for these releases."""
    return tuple(
        str(path)
        for arch, path in job.updates
        if _updated(arch, path, releases) != read_file(path, MAX_DOCUMENT_SIZE)
    )


def _updated(arch: str, path: Path, releases: Sequence[Release]) -> bytes:
    meant = [one for one in releases if arch in ("", one.arch)]
    if len(meant) != 1:
        raise ImporterError(
            f"{path}: for which architecture is it?"
            if meant
            else f"{path} is for {arch}, and no release here is",
            hint="write --update-json ARCH=FILE, for an architecture of this call",
        )
    with advising("it has to be a MicroShift release file"):
        return updated(read_file(path, MAX_DOCUMENT_SIZE), meant[0], str(path))
