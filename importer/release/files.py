"""Files that import-release writes beside the commit: the lock, and files that list the images."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.replacement import Replacement, check_replaceable
from importer.release.updates import FileKind, names_for
from layers.release.lock import Locked, check_lockable, lock_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from importer.release.updates import FileUpdate
    from layers.release.release import Release

    # The release of a branch's commit before the import, where it has one.
    type Before = Sequence[Release | None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files written under temporary names."""

    lock: Replacement | None
    updates: tuple[Replacement, ...]

    def publish(self) -> tuple[str, ...]:
        """Rename all files into place, or none. Return the paths whose images have changed.

        Raise ImporterError if a file cannot be replaced. The files renamed before then get their
        old content back. (A kill in between leaves some files new and some old.)
        """
        done: list[Replacement] = []
        try:
            for file in (*filter(None, [self.lock]), *self.updates):
                if file.publish():
                    done.append(file)  # noqa: PERF401 # `done` has to tell how far it came
        except ImporterError:
            for file in reversed(done):
                file.restore()
            raise
        return tuple(str(file.path) for file in self.updates if file in done)


@dataclass(frozen=True, slots=True)
class FilesToWrite:
    """Files that get the images' digests: the `lock`, and `updates` of files that list images.
    `image_references` are ImageStreams that map images' names in kustomizations to components."""

    lock: Path | None = None
    updates: tuple[FileUpdate, ...] = ()
    image_references: tuple[Path, ...] = ()

    def check(self, releases: Sequence[Release], before: Before) -> None:
        """Raise ImporterError, before anything is fetched, if a file cannot take its release."""
        for path in self._paths():
            check_replaceable(path)
        self._check_once()
        for _ in self._contents(releases, before):
            pass
        for release in releases if self.lock else ():
            for component in release.components.values():
                check_lockable(component)

    def _paths(self) -> list[Path]:
        """Return the paths of all files. An option that repeats counts once."""
        return [*filter(None, [self.lock]), *(one.path for one in dict.fromkeys(self.updates))]

    def _check_once(self) -> None:
        """Raise ImporterError if two options write one file: the last one alone would be left."""
        seen: set[Path] = set()
        for path in self._paths():
            place = path.absolute()
            if place in seen:
                raise ImporterError(
                    f"{path} would be written by two options",
                    hint="give each of them a file of its own",
                )
            seen.add(place)

    @contextmanager
    def prepared(self, locked: Sequence[Locked], before: Before) -> Iterator[Prepared]:
        """Write the files for these releases under temporary names, so that errors come before the
        commit. Files that were not published are removed on leaving."""
        releases = [one.release for one in locked]
        content = lock_document({one.release.arch: one for one in locked}) if self.lock else b""
        updates = [(file.path, new) for file, new in self._contents(releases, before)]
        with ExitStack() as stack:
            lock = stack.enter_context(Replacement(self.lock, content)) if self.lock else None
            files = tuple(stack.enter_context(Replacement(*one)) for one in updates)
            yield Prepared(lock, files)

    def changed(self, releases: Sequence[Release], before: Before) -> tuple[str, ...]:
        """Return the files that an import of these releases would rewrite."""
        found = self._contents(releases, before)
        return tuple(str(file.path) for file, new in found if new != file.old())

    def _contents(
        self, releases: Sequence[Release], before: Before
    ) -> Iterator[tuple[FileUpdate, bytes]]:
        for file in self.updates:
            release = file.release(releases)
            pairs = zip(releases, before, strict=True)
            known = [old for one, old in pairs if one is release and old]
            names = None
            if file.kind is FileKind.KUSTOMIZATION:
                names = names_for(release.arch, self.updates, self.image_references, known)
            yield file, file.content(release, names)
