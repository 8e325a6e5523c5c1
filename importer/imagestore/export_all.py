"""`image-store export` of several images: into one OCI layout, or one archive of it.

An archive is read as two formats: as an OCI layout by containerd, k3s and RKE2, and by its
`manifest.json` as one of `docker save`, which since version 25 has the same blobs beside a layout
(moby, image/tarexport/save.go).
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError, os_faults
from importer.files.atomic import replace_file
from importer.files.oci_layout import Layout
from importer.files.presence import is_directory
from importer.files.scratch import scratch
from importer.imagestore.export import ExportPlace, exportable, image_id, write_images
from importer.render.table import Block, Column, Shown, Table
from importer.store.find import find_stored, places_of
from importer.store.image import ImageView
from layers.document import compact_json
from layers.entry import Entry, Kind, Owner
from layers.frozen import frozen
from layers.oci.reference import ImageName
from layers.path import components, joined
from layers.tar.writer import END, header, padding
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.find import Place, Places, Stores
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.oci.manifest import Manifest

_COLUMNS = (Column("DIGEST"), Column("NAME", style="cyan"))
_DOCKER = "manifest.json"
_DIRECTORY, _FILE = Owner(0o755, 0, 0), Owner(0o644, 0, 0)
_PIECE = 1 << 20
_LAYOUT = "oci:DIR takes artifacts, too"
_BRANCHES = "--branch names the branches to export from"


@frozen
class ExportedImage:
    """An image or artifact in a layout or archive."""

    names: tuple[str, ...]  # the names under which it is listed
    digest: Digest  # the manifest's digest in the export
    source_digest: Digest  # the original manifest's digest
    image_id: str | None  # podman's image id, which stays; `null`: an artifact


@frozen
class ExportedImages(Shown):
    """All images and artifacts of an export, and its place."""

    path: Path
    images: tuple[ExportedImage, ...]

    def blocks(self) -> list[Block]:
        rows: list[tuple[str, ...]] = [
            (str(image.digest), name)
            for image in self.images
            for name in image.names or ("<none>",)
        ]
        return [Table(_COLUMNS, rows)]

    def document(self) -> dict[str, object]:
        return {
            "path": self.path,  # the layout's directory, or the archive
            "images": self.images,  # [ExportedImage]: a list of images and artifacts, by id
        }


def export_images(
    repo: Repo,
    stores: Stores,
    texts: Sequence[str],
    to: Path,
    progress: Progress,
    jobs: int,
    *,
    archive: bool,
) -> ExportedImages:
    """Write the images and artifacts, or all of the stores without `texts`, into a layout, or the
    images into an archive.

    Each is listed under all its names. Raise ImporterError if a branch cannot be read, or if two
    have one name; LayerError for a layer or blob that cannot be made again.
    """
    chosen = _chosen(stores, texts)
    images = [exportable(chosen[each]) for each in sorted(chosen)]
    if archive:
        _check_archive(to)
        images = _without_artifacts(images, progress, named=bool(texts))
    if not images:
        raise ImporterError("there are no images", hint="`image-store list` lists them")
    with ExitStack() as held:
        directory = held.enter_context(scratch(large=True)) / "layout" if archive else to
        place, layout = ExportPlace(directory, ""), Layout(directory, "")
        made = write_images(repo, images, place, layout, progress, jobs)
        names = [_names(chosen[image.id]) for _, image in images]
        exported = list(zip(made, names, strict=True))
        layout.finish_all([(new.raw, new.digest, called) for new, called in exported])
        if archive:
            with os_faults(f"writing {to}"):
                replace_file(to, _tar(directory, exported))
    return ExportedImages(
        to,
        tuple(
            ExportedImage(called, new.digest, image.manifest.digest, image_id(image))
            for (new, called), (_, image) in zip(exported, images, strict=True)
        ),
    )


def _check_archive(to: Path) -> None:
    if is_directory(to):
        raise ImporterError(f"{to} is a directory", hint="name a file, or oci:DIR")
    if not is_directory(to.parent):
        raise ImporterError(f"{to} cannot be written: there is no directory {to.parent}")


def _chosen(stores: Stores, texts: Sequence[str]) -> Places:
    """Return the images and artifacts to export."""
    broken = next((branch for branch in stores.skipped if branch.broken), None)
    if broken is not None and not texts:
        raise ImporterError(
            f"branch {broken.branch} cannot be read: {broken.reason}", hint=_BRANCHES
        )
    places: Places = {}
    for text in texts:
        for place in find_stored(stores, text):
            places.setdefault(place[1].id, []).append(place)
    places = places if texts else places_of(stores)
    owners: dict[str, str] = {}
    for each, copies in places.items():
        for name in _names(copies):
            if owners.setdefault(name, each) != each:
                raise ImporterError(f"two images have the name {name}", hint=_BRANCHES)
    return places


def _names(copies: Sequence[Place]) -> tuple[str, ...]:
    """Return the names that an image or artifact has in any store."""
    return tuple(sorted({name for _, copy in copies for name in copy.names}))


def _without_artifacts(images: list[Place], progress: Progress, *, named: bool) -> list[Place]:
    """Return the images alone, and tell that artifacts are left out. Raise ImporterError if the
    user has named one.

    containerd unpacks all that an archive lists, and fails for an artifact of layers (1.7:
    "mismatched image rootfs and manifest layers").
    """
    left = [image.label for _, image in images if not isinstance(image, ImageView)]
    if left and named:
        raise ImporterError(f"{left[0]} is an artifact, and archives are for images", hint=_LAYOUT)
    if left:
        progress.message(f"{several(len(left), 'artifact')} left out of the archive; {_LAYOUT}")
    return [place for place in images if isinstance(place[1], ImageView)]


def _docker_image(made: Manifest, names: Sequence[str]) -> dict[str, object]:
    """Return the image's object in manifest.json. Docker takes names with a tag alone."""
    return {
        "Config": _blob(made.config.digest),
        "RepoTags": [name for name in names if ImageName.parse(name).digest is None],
        "Layers": [_blob(layer.digest) for layer in made.layers],
    }


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _tar(layout: Path, exported: Sequence[tuple[Manifest, Sequence[str]]]) -> Chunks:
    """Yield the tar of a layout, with Docker's manifest.json: sorted, with times of zero."""
    docker = compact_json([_docker_image(*each) for each in exported])
    yield from _file(_DOCKER, iter([docker]), len(docker))
    for path in sorted(layout.rglob("*")):
        name = str(path.relative_to(layout))
        if is_directory(path):
            yield header(Entry(joined(components(name.encode())), Kind.DIRECTORY, _DIRECTORY))
        else:
            yield from _file(name, _content(path), path.stat().st_size)
    yield END


def _file(name: str, content: Chunks, size: int) -> Chunks:
    yield header(Entry(name.encode(), Kind.FILE, _FILE, size))
    yield from content
    yield padding(size)


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
