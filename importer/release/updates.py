"""Compute the new content of a file that lists a release's images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.files.presence import is_present
from importer.files.replacement import read_file
from importer.release.sources import SourceName, advising
from layers.architecture import go_arch, is_architecture
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.lists.microshift_json import ReleaseFile, new_release_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from layers.release.node_files import Names
    from layers.release.release import Release


def _arch_in(path: str) -> str:
    stem = path.rpartition("/")[2].rpartition(".")[0]
    ends = (stem[place + 1 :] for place, one in enumerate(stem) if one in "-._")
    return next((go_arch(one) for one in ends if is_architecture(one)), "")


class FileKind(Enum):
    """The kinds of files, by the options that name them."""

    RELEASE = "--update-json"
    NEW_RELEASE = "--new-json"
    KUSTOMIZATION = "--update-kustomization"
    CRIO = "--update-crio"


@dataclass(frozen=True, slots=True)
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
        meant = [one for one in releases if self.arch in ("", one.arch)]
        if len(meant) != 1:
            raise ImporterError(
                f"{self.path}: for which architecture is it?"
                if meant
                else f"{self.path} is for {self.arch}, and no release here is",
                hint=f"write {self.kind.value} ARCH=FILE, for an architecture of this call",
            )
        return meant[0]

    def old(self) -> bytes | None:
        """Return the file's bytes, None for a new release file that does not exist yet."""
        if self.kind is FileKind.NEW_RELEASE and not is_present(self.path):
            return None
        return read_file(self.path, MAX_DOCUMENT_SIZE)

    def content(self, release: Release, names: Names | None) -> bytes:
        """Return the file's new bytes. `names` are for a kustomization; None stands for no names.

        Raise LayerError if the release does not fit the file.
        """
        raw, origin = self.old() or b"", str(self.path)
        base = release.version or release.name
        with advising(_HINTS[self.kind]):
            match self.kind:
                case FileKind.RELEASE:
                    return ReleaseFile.parse(raw, origin).updated(release.pullspecs, base)
                case FileKind.NEW_RELEASE:
                    return new_release_file(self.components, release.pullspecs, base, origin)
                case FileKind.KUSTOMIZATION:
                    return _kustomization(raw, release, names, origin)
                case FileKind.CRIO:
                    return _crio_conf(raw, release, origin)


_HINTS = {
    FileKind.RELEASE: "it has to be a MicroShift release file",
    FileKind.NEW_RELEASE: "--components names components of the release",
    FileKind.KUSTOMIZATION: "it has to be a kustomization file with images",
    FileKind.CRIO: "it has to be a configuration file of CRI-O",
}


def _kustomization(raw: bytes, release: Release, names: Names | None, origin: str) -> bytes:
    from layers.release.node_files import Names, updated_kustomization  # loads YAML's reader

    return updated_kustomization(raw, release, names or Names({}), origin)


def _crio_conf(raw: bytes, release: Release, origin: str) -> bytes:
    from layers.release.node_files import PAUSE, with_pause_image  # loads TOML's reader and writer

    if PAUSE not in release.components:
        raise LayerError(
            f"{origin}: the release has no component {PAUSE}, CRI-O's pause image",
            hint=f"name a source that has it, and let --only and --exclude take {PAUSE}",
        )
    return with_pause_image(raw, release.components[PAUSE].pullspec, origin)


def names_for(
    arch: str, files: Iterable[FileUpdate], references: Iterable[Path], before: Iterable[Release]
) -> Names:
    """Return the components that images' names in this architecture's kustomizations stand for.

    `references` are paths of ImageStreams. Earlier images of components come from the call's
    release files as they are on disk, and from the releases `before`.
    """
    from layers.release.node_files import Names, image_names

    images: dict[str, str] = {}
    for path in references:
        with advising("--image-references names ImageStreams, as OLM's image-references"):
            images |= image_names(read_file(path, MAX_DOCUMENT_SIZE), str(path))
    former = [(one.pullspec, one.name) for old in before for one in old.components.values()]
    return Names(images, (*_former(arch, files), *former))


def _former(arch: str, files: Iterable[FileUpdate]) -> Iterator[tuple[str, str]]:
    for file in files:
        if file.kind in (FileKind.RELEASE, FileKind.NEW_RELEASE) and file.arch in ("", arch):
            raw = file.old()
            if raw is not None:
                pullspecs = ReleaseFile.parse(raw, str(file.path)).pullspecs
                yield from ((pullspec, name) for name, pullspec in pullspecs.items())
