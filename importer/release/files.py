"""Files that import-release writes beside the commit: the lock, and files that list the images."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.files.presence import is_present
from importer.files.replacement import Replacement, check_replaceable, publish_all, read_file
from importer.release.source_name import SourceName
from importer.release.sources import advising
from layers.architecture import go_arch, is_architecture
from layers.document import MAX_DOCUMENT_SIZE
from layers.frozen import frozen
from layers.lists.microshift_json import ReleaseFile, new_release_file
from layers.release.lock import Locked, check_lockable, lock_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from layers.release.node_files import Names
    from layers.release.release import Release

    # For each branch, the release of its commit before the import, if any.
    type Before = Sequence[Release | None]


class FileKind(Enum):
    """The kinds of files that list images, by the options that name them."""

    RELEASE = "--update-json"
    NEW_RELEASE = "--new-json"
    KUSTOMIZATION = "--update-kustomization"
    CRIO = "--update-crio"


_HINTS = {
    FileKind.RELEASE: "it has to be a MicroShift release file",
    FileKind.NEW_RELEASE: "--components names components of the release",
    FileKind.KUSTOMIZATION: "it has to be a kustomization file with images",
    FileKind.CRIO: "it has to be a configuration file of CRI-O",
}


@frozen
class FileUpdate:
    """A file to update with the release for `arch`; "" if there is only one release.

    `components` are those of a new release file, in its order.
    """

    kind: FileKind
    path: Path
    arch: str = ""
    components: tuple[str, ...] = ()

    @classmethod
    def parse(cls, kind: FileKind, text: str, components: tuple[str, ...] = ()) -> Self:
        """Return the file of `ARCH=FILE`, or of a FILE whose name may end in its architecture.

        MicroShift's are called release-olm-x86_64.json, kustomization.aarch64.yaml,
        10-microshift_amd64.conf.
        """
        name = SourceName.parse(text)
        return cls(kind, Path(name.text), name.arch or _arch_in(name.text), components)

    def release(self, releases: Sequence[Release]) -> Release:
        """Return the release for this file. Raise ImporterError if none or several match."""
        matching = [release for release in releases if self.arch in ("", release.arch)]
        if len(matching) != 1:
            raise ImporterError(
                f"{self.path}: for which architecture is it?"
                if matching
                else f"{self.path} is for {self.arch}, and no release here is",
                hint=f"write {self.kind.value} ARCH=FILE, for an architecture of this call",
            )
        return matching[0]

    def old(self) -> bytes | None:
        """Return the file's bytes, None for a new release file that does not exist yet."""
        if self.kind is FileKind.NEW_RELEASE and not is_present(self.path):
            return None
        return read_file(self.path, MAX_DOCUMENT_SIZE)

    def pullspecs(self, arch: str) -> list[tuple[str, str]]:
        """Return the pullspecs, each with its component, of a release file for this architecture;
        nothing for another file."""
        is_release = self.kind in (FileKind.RELEASE, FileKind.NEW_RELEASE)
        raw = self.old() if is_release and self.arch in ("", arch) else None
        if raw is None:
            return []
        file = ReleaseFile.parse(raw, str(self.path))
        return [(pullspec, name) for name, pullspec in file.pullspecs.items()]

    def content(self, release: Release, names: Names | None) -> bytes:
        """Return the file's new bytes. `names` are those of a kustomization.

        Raise LayerError if the release does not fit the file.
        """
        raw, origin = self.old() or b"", str(self.path)
        pullspecs, base = release.pullspecs, release.version or release.name
        with advising(_HINTS[self.kind]):
            if self.kind is FileKind.RELEASE:
                return ReleaseFile.parse(raw, origin).updated(pullspecs, base)
            if self.kind is FileKind.NEW_RELEASE:
                return new_release_file(self.components, pullspecs, base, origin)
            # Loads readers of YAML and TOML.
            from layers.release.node_files import Names, updated_kustomization, with_pause_image

            if self.kind is FileKind.KUSTOMIZATION:
                return updated_kustomization(raw, release, names or Names({}), origin)
            return with_pause_image(raw, pullspecs, origin)


def _arch_in(path: str) -> str:
    stem = path.rpartition("/")[2].rpartition(".")[0]
    ends = (stem[index + 1 :] for index, char in enumerate(stem) if char in "-._")
    return next((go_arch(end) for end in ends if is_architecture(end)), "")


@frozen
class Prepared:
    """Files written under temporary names."""

    lock: Replacement | None
    updates: tuple[Replacement, ...]

    def publish(self) -> tuple[str, ...]:
        """Put all files in place as `publish_all` does. Return the paths whose images have
        changed."""
        changed = publish_all([*filter(None, [self.lock]), *self.updates])
        return tuple(str(file.path) for file in self.updates if file in changed)


@frozen
class FilesToWrite:
    """Files that get the images' digests: the `lock`, and `updates` of files that list images.
    `image_references` are ImageStreams that map images' names in kustomizations to components."""

    lock: Path | None = None
    updates: tuple[FileUpdate, ...] = ()
    image_references: tuple[Path, ...] = ()

    def check(self, releases: Sequence[Release], before: Before) -> None:
        """Raise ImporterError, before anything is fetched, if a file cannot take its release, or if
        two options write one file."""
        paths = [*filter(None, [self.lock]), *(file.path for file in dict.fromkeys(self.updates))]
        places = [path.absolute() for path in paths]
        for path in paths:
            check_replaceable(path)
            if places.count(path.absolute()) > 1:
                raise ImporterError(
                    f"{path} would be written by two options",
                    hint="give each of them a file of its own",
                )
        for _ in self._contents(releases, before):
            pass
        for release in releases if self.lock else ():
            for component in release.components.values():
                check_lockable(component)

    @contextmanager
    def prepared(self, locked: Sequence[Locked], before: Before) -> Iterator[Prepared]:
        """Write the files for these releases under temporary names, so that errors come before the
        commit. Files that were not published are removed on leaving."""
        releases = [each.release for each in locked]
        content = lock_document({each.release.arch: each for each in locked}) if self.lock else b""
        updates = [(file.path, new) for file, new in self._contents(releases, before)]
        with ExitStack() as stack:
            lock = stack.enter_context(Replacement(self.lock, content)) if self.lock else None
            files = tuple(stack.enter_context(Replacement(*update)) for update in updates)
            yield Prepared(lock, files)

    def changed(self, releases: Sequence[Release], before: Before) -> tuple[str, ...]:
        """Return the files that an import of these releases would rewrite."""
        contents = self._contents(releases, before)
        return tuple(str(file.path) for file, new in contents if new != file.old())

    def _contents(
        self, releases: Sequence[Release], before: Before
    ) -> Iterator[tuple[FileUpdate, bytes]]:
        for file in self.updates:
            release = file.release(releases)
            names = None
            if file.kind is FileKind.KUSTOMIZATION:
                names = self._names(release.arch, before[releases.index(release)])
            yield file, file.content(release, names)

    def _names(self, arch: str, before: Release | None) -> Names:
        """Return the components that images' names in this architecture's kustomizations stand for.

        Earlier images of components come from the call's release files as they are on disk, and
        from the release `before`.
        """
        from layers.release.node_files import Names, image_names

        images: dict[str, str] = {}
        for path in self.image_references:
            with advising("--image-references names ImageStreams, as OLM's image-references"):
                images |= image_names(read_file(path, MAX_DOCUMENT_SIZE), str(path))
        former = [pair for file in self.updates for pair in file.pullspecs(arch)]
        if before is not None:
            former += [(pullspec, name) for name, pullspec in before.pullspecs.items()]
        return Names(images, tuple(former))
