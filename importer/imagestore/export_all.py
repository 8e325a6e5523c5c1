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
from importer.imagestore.export import ExportPlace, exportable, write_images
from importer.render.table import Block, Column, Shown, Table
from importer.store.find import find_image, places_of
from layers.document import compact_json
from layers.entry import Entry, Kind, Owner
from layers.frozen import frozen
from layers.oci.reference import ImageName
from layers.path import components, joined
from layers.tar.writer import END, header, padding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.find import Stores
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.oci.manifest import Manifest

_COLUMNS = (Column("DIGEST"), Column("NAME", style="cyan"))
_DOCKER = "manifest.json"
_DIRECTORY, _FILE = Owner(0o755, 0, 0), Owner(0o644, 0, 0)
_PIECE = 1 << 20
_BRANCHES = "--branch names the branches to export from"


@frozen
class ExportedImage:
    """An image in a layout or archive."""

    names: tuple[str, ...]  # the names under which it is listed
    digest: Digest  # the manifest's digest in the export
    source_digest: Digest  # the original manifest's digest
    image_id: str  # podman's image id, which stays


@frozen
class ExportedImages(Shown):
    """All images of an export, and its place."""

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
            "images": self.images,  # [ExportedImage]: a list of the images, by id
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
    """Write the images, or all images of the stores without `texts`, into a layout or an archive.

    Each is listed under all its names. Raise ImporterError if a branch cannot be read, or if two
    images have one name; LayerError for a layer that cannot be made again.
    """
    images = _chosen(stores, texts)
    if archive and is_directory(to):
        raise ImporterError(f"{to} is a directory", hint="name a file, or oci:DIR")
    if archive and not is_directory(to.parent):
        raise ImporterError(f"{to} cannot be written: there is no directory {to.parent}")
    with ExitStack() as held:
        directory = held.enter_context(scratch(large=True)) / "layout" if archive else to
        place = ExportPlace(directory, "")
        layout = Layout(directory, "")
        written = write_images(repo, images, place, layout, progress, jobs)
        made = [(new, image) for new, (_, image) in zip(written, images, strict=True)]
        layout.finish_all([(new.raw, new.digest, image.names) for new, image in made])
        if archive:
            docker = compact_json([_docker_image(*pair) for pair in made])
            with os_faults(f"writing {to}"):
                replace_file(to, _tar(directory, docker))
    return ExportedImages(
        to,
        tuple(
            ExportedImage(image.names, new.digest, image.manifest.digest, image.id)
            for new, image in made
        ),
    )


def _chosen(stores: Stores, texts: Sequence[str]) -> list[tuple[StoreView, ImageView]]:
    """Return each image once, by id."""
    broken = next((branch for branch in stores.skipped if branch.broken), None)
    if broken is not None and not texts:
        raise ImporterError(
            f"branch {broken.branch} cannot be read: {broken.reason}", hint=_BRANCHES
        )
    if texts:
        named = [find_image(stores, text) for text in texts]
        places = {copies[0][1].id: copies for copies in named}
    else:
        places = places_of(stores)
    if not places:
        raise ImporterError("there are no images", hint="`image-store list` lists them")
    chosen = [exportable(places[image_id]) for image_id in sorted(places)]
    owners: dict[str, str] = {}
    for _, image in chosen:
        for name in image.names:
            if owners.setdefault(name, image.id) != image.id:
                raise ImporterError(f"two images have the name {name}", hint=_BRANCHES)
    return chosen


def _docker_image(made: Manifest, image: ImageView) -> dict[str, object]:
    """Return the image's object in manifest.json. Docker takes names with a tag alone."""
    return {
        "Config": _blob(made.config.digest),
        "RepoTags": [name for name in image.names if ImageName.parse(name).digest is None],
        "Layers": [_blob(layer.diff_id) for layer in image.layers],
    }


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _tar(layout: Path, docker: bytes) -> Chunks:
    """Yield the tar of a layout, with Docker's manifest.json: sorted, with times of zero."""
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
