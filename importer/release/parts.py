"""Read the sources of an import: a release for each architecture, and its images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.fetch.complaint import shown
from importer.fetch.resolver import Resolver, new_signatures
from importer.fetch.skopeo_files import has_to_ask
from importer.files.replacement import read_file
from importer.release.origin import host_arch, stream_url
from importer.release.source_name import SourceName, registries_in
from importer.release.sources import SourceDocuments, Sources, advising, naming
from layers.errors import Fault
from layers.frozen import frozen
from layers.release.lock import MAX_LOCK_SIZE, Locked, parse_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from importer.release.origin import ReleaseOrigin
    from importer.store.documents import StoredDocuments
    from layers.release.release import Component, Release
    from layers.storage.image import Image


@frozen
class Part:
    """A release for one architecture, and skopeo for its registries. `locked` are the images of a
    lock file by component, which are resolved already."""

    release: Release
    skopeo: Skopeo
    blobs: Blobs
    locked: Mapping[str, Image]

    def resolving(self, stored: StoredDocuments) -> Callable[[Component], Image]:
        """Return a function that resolves a component to its image. Documents in `stored` are not
        fetched."""
        resolver = Resolver(self.skopeo, self.blobs, stored.find)
        keeps = self.skopeo.keep_signatures
        signatures = new_signatures(self.skopeo, self.blobs) if keeps else None

        def resolve(component: Component) -> Image:
            locked = self.locked.get(component.name)
            if locked is None:
                return resolver.resolve(component.reference)
            if has_to_ask(self.skopeo, component.reference):
                # The lock may have been written, and layers imported, under another policy.
                self.blobs.check_policy(locked.source)
            return signatures.added(locked) if signatures else locked

        return resolve


@contextmanager
def opened_parts(origin: ReleaseOrigin, progress: Progress) -> Iterator[list[Part]]:
    """Read the sources, and yield the parts. Their proxies end on leaving."""
    with ExitStack() as stack:
        yield [_part(origin, locked, stack, progress) for locked in _releases(origin, progress)]


def _part(origin: ReleaseOrigin, locked: Locked, stack: ExitStack, progress: Progress) -> Part:
    release = origin.release(locked.release)
    for component in release.components.values():
        if component.warning:
            progress.message(component.warning)
    skopeo = replace(origin.skopeo, arch=release.arch)
    if skopeo.creds is not None:
        skopeo.creds.check(registries_in(release))
    blobs = stack.enter_context(Blobs(skopeo, progress))
    return Part(release, skopeo, blobs, locked.images)


def _releases(origin: ReleaseOrigin, progress: Progress) -> list[Locked]:
    if origin.locked is not None:
        return _locked(origin, origin.locked)
    documents = SourceDocuments(origin, progress)
    return [Locked(_read(origin, arch, documents, progress), {}) for arch in origin.architectures()]


def _locked(origin: ReleaseOrigin, path: Path) -> list[Locked]:
    with naming(str(path)), advising("a file that --lock has written is whole"):
        by_arch = parse_lock(read_file(path, MAX_LOCK_SIZE), str(path))
    missing = [arch for arch in origin.arches if arch not in by_arch]
    if missing:
        raise ImporterError(
            f"{path} has no release for {missing[0]}", hint=f"it has one for {', '.join(by_arch)}"
        )
    wanted = origin.arches or by_arch
    return [locked for arch, locked in by_arch.items() if arch in wanted]


def _read(
    origin: ReleaseOrigin, arch: str, documents: SourceDocuments, progress: Progress
) -> Release:
    names = [name for name in origin.names if name.arch in ("", arch)]
    if origin.stream:
        names.insert(0, SourceName(stream_url(origin.controller, origin.stream, arch), arch))
    if not names:
        raise ImporterError(f"no source is for {arch}")
    skopeo = replace(origin.skopeo, arch=arch or None)
    with Blobs(skopeo, progress) as blobs:
        release = Sources(documents, skopeo, blobs, origin).read(names)
    with naming(shown(names[0].text)):
        arch = _agreed(arch, release.arch)
    streams = [origin.stream, *(name.stream for name in names)]
    return replace(release, arch=arch, stream=next(filter(None, streams), ""))


def _agreed(asked: str, named: str) -> str:
    """Return the architecture that is asked for, or that the sources name, or this machine's. Raise
    ImporterError if the first two differ."""
    if asked and named and asked != named:
        raise ImporterError(
            f"the release is for {named}, not {asked}",
            hint="a source for one architecture alone is written ARCH=SOURCE",
        )
    return asked or named or host_arch()


def resolve_all(
    components: Iterable[Component], resolve: Callable[[Component], Image], questions: int
) -> tuple[dict[str, Image], dict[str, Fault]]:
    """Resolve the components, `questions` at once. Return images and faults, by component."""
    with ThreadPoolExecutor(questions, thread_name_prefix="resolve") as pool:
        futures = {component.name: pool.submit(resolve, component) for component in components}
    images: dict[str, Image] = {}
    faults: dict[str, Fault] = {}
    for name, future in futures.items():
        try:
            images[name] = future.result()
        except Fault as fault:
            faults[name] = fault
    return images, faults
