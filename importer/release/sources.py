"""Read a release from the sources of the command line: files, URLs, payload images, streams."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.complaint import shown
from importer.fetch.resolver import Resolver
from importer.files.image_lists import has_members, list_bytes, read_image_lists, standard_input
from importer.release.source_name import IN_IMAGE, SourceName, is_file, is_foreign
from layers.document import parse_document
from layers.errors import Fault, LayerError
from layers.frozen import frozen
from layers.oci.reference import REGISTRIES, Reference
from layers.release.release import Release, merged
from layers.release.source import image_stream, listed_release, parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.fetch.blobs import Blobs
    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from importer.release.origin import ReleaseOrigin
    from layers.lists.detect import ListRules
    from layers.release.source import Answers, ControllerAnswer


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the source's name in front of errors."""
    try:
        yield
    except Fault as error:
        message = str(error)
        text = message if source in message else f"{source}: {message}"
        kind = ImporterError if isinstance(error, ImporterError) else LayerError
        raise kind(text, hint=error.advice) from error


@contextmanager
def advising(hint: str) -> Iterator[None]:
    """Give a hint to a LayerError without one: a document of the user's or a server's is wrong."""
    try:
        yield
    except LayerError as error:
        raise error.within(hint=hint) from error


class SourceDocuments:
    """Documents of URLs, files and standard input, each read once for all architectures: a pipe can
    be read only once, and a server may have another release the next time."""

    def __init__(self, origin: ReleaseOrigin, progress: Progress) -> None:
        self._origin = origin
        self._progress = progress
        self._read: dict[str, bytes] = {}

    def find(self, text: str) -> bytes | None:
        """Return the document, or None if the text names neither a URL, a file nor `-`."""
        if text not in self._read:
            raw = self._get(text)
            if raw is None:
                return None
            self._read[text] = raw
        return self._read[text]

    def _get(self, text: str) -> bytes | None:
        if text.startswith(("http://", "https://")):
            from importer.fetch.http import Http  # takes long to load, and files need none

            skopeo, message = self._origin.skopeo, self._progress.message
            http = Http(skopeo.retry_times, skopeo.timeout, message, "application/json")
            return http.get(text)
        if text == "-":
            return standard_input()
        return list_bytes(Path(text), self._origin.lists.size) if is_file(text) else None


@frozen
class Sources:
    """Read sources for one architecture, which `blobs` and `skopeo` are made for.

    `origin` has the rules. Those for lists hold for local ones; documents from elsewhere name
    registries alone.
    """

    documents: SourceDocuments
    skopeo: Skopeo
    blobs: Blobs
    origin: ReleaseOrigin

    def read(self, names: Sequence[SourceName]) -> Release:
        """Return the release merged from these sources. An error names its source."""
        return merged([release for name in names for release in self._releases(name.text)])

    def _releases(self, text: str) -> Iterator[Release]:
        """Yield the source's release; for a directory, one of each file that lists an image."""
        if text == "-" or not is_file(text) or not has_members(Path(text)):
            yield self._read(text)
            return
        for file in read_image_lists(Path(text), self.origin.lists):
            if file.images:
                with naming(shown(str(file.path))):
                    yield listed_release(file.file, file.rules)

    def _read(self, text: str) -> Release:
        with naming(shown(text)):
            raw = self.documents.find(text)
            image, is_in_image, path = text.partition(IN_IMAGE)
            if raw is None and is_in_image:
                return self._image_file(_reference(image), path)
            if raw is None:
                return self._payload(_reference(text), text)
            rules = self.origin.lists
            if is_foreign(text):
                rules = replace(rules, transports=REGISTRIES)
            return self._parsed(raw, "standard input" if text == "-" else shown(text), rules)

    def _parsed(self, raw: bytes, name: str, rules: ListRules) -> Release:
        with advising("the program or person that wrote the source has to correct it"):
            parsed = parse_source(raw, name, rules)
        if isinstance(parsed, Release):
            return parsed
        answer = chosen(parsed, self.origin.phases, name)
        release = self._payload(Reference.parse(answer.pullspec), answer.pullspec)
        if release.name and release.name != answer.name:
            raise LayerError(
                f"the controller calls the release {answer.name}, its payload {release.name}",
                hint="ask again later, or name the payload itself",
            )
        return replace(release, name=answer.name, version=release.version or answer.name)

    def _image_file(self, reference: Reference, path: str) -> Release:
        """Return the release of a file in an image, which names registries alone."""
        from importer.release.image_file import image_file  # loads what decompresses layers

        image = Resolver(self.skopeo, self.blobs).resolve(reference)
        raw = image_file(self.blobs, image, path, self.origin.limits.size)
        if raw is None:
            raise ImporterError(
                f"the image has no file {path}", hint="symlinks on the way are not followed"
            )
        release = self._parsed(raw, path, replace(self.origin.lists, transports=REGISTRIES))
        return replace(release, arch=release.arch or image.config.architecture)

    def _payload(self, reference: Reference, name: str) -> Release:
        from importer.release.image_file import image_references  # loads what decompresses layers

        with naming(name):
            image = Resolver(self.skopeo, self.blobs).resolve(reference)
            raw = image_references(self.blobs, image, self.origin.limits.size)
            release = image_stream(parse_document(raw, name), name)
            return replace(release, arch=image.config.architecture)


def chosen(answers: Answers, phases: frozenset[str], origin: str) -> ControllerAnswer:
    """Return a controller's newest release in one of these phases. Raise ImporterError if there is
    none."""
    for answer in answers:
        if answer.phase in phases:
            return answer
    others = ", ".join(f"{each.name} is {each.phase}" for each in answers[:3]) or "it names none"
    raise ImporterError(
        f"{origin}: no release is {' or '.join(sorted(phases))}: {others}",
        hint="--phase allows another",
    )


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except LayerError:
        raise ImporterError(
            "there is no such file, and it is neither a URL nor an image's reference",
            hint="a payload is registry/name:tag or registry/name@sha256:…",
        ) from None
