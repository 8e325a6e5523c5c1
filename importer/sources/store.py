"""Find and plan the images of an existing store, for import-storage."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.cache.branches import storage_branch
from importer.commit.branch_head import empty_branch
from importer.commit.contents import check_target
from importer.commit.plan import LayerPlanner, Plan, PlannedPart
from importer.commit.target import Form, Target
from importer.errors import ImporterError
from importer.files.foreign import ForeignDirectory
from importer.graphroot.containers_storage import Graphroot
from importer.graphroot.docker import DOCKER_HOME, THROUGH_DOCKER, Dockerroot
from importer.graphroot.source import store_origins, with_trust
from layers.frozen import frozen
from layers.storage.select_image import select
from layers.words import first_of, several

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.graphroot.source import SourceImage
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.storage.image import Image


@frozen
class GraphrootSource:
    """A `Source`: images of the store at `graphroot`, which were `found` there.

    `verified_only` refuses layers that cannot be verified by their diffID.
    """

    graphroot: Path
    found: tuple[tuple[Image, SourceImage], ...]
    verified_only: bool = False

    @classmethod
    def read(cls, graphroot: Path, names: Sequence[str], progress: Progress) -> Self:
        """Read the records of these images, or of all complete images. Raise ImporterError or
        LayerError if that fails."""
        store = open_source(graphroot, progress)
        chosen = _chosen(store, names, graphroot, progress)
        if not chosen:
            raise ImporterError(f"{graphroot} has no complete image")
        return cls(graphroot, tuple((store.load(image), image) for image in chosen))

    @contextmanager
    def planned(self, target: Target, repo: Repo, progress: Progress) -> Iterator[Plan]:
        yield Plan((self._part(target, repo, progress),))

    def _part(self, target: Target, repo: Repo, progress: Progress) -> PlannedPart:
        images, name = tuple(image for image, _ in self.found), self._branch(target)
        base = check_target(target, repo, target.onto, name)
        branch = replace(empty_branch(target, repo, name, base), images=images)
        planner = LayerPlanner(repo, target.layer_options.device_nodes)
        origins = store_origins(self.found)
        for image in images:
            planner.add(image, [origins[layer.id] for layer in image.layers])
        layers = planner.plan()
        missing = with_trust(layers.missing, progress, verified_only=self.verified_only)
        branches = () if target.form is Form.LAYERS else (branch,)
        return PlannedPart(None, images, branches, replace(layers, missing=missing))

    def _branch(self, target: Target) -> str:
        """Return the branch's name: --branch, or one made of the absolute path to the graphroot.

        Symlinks in the path are kept, `.` and `..` are resolved.
        """
        return target.branch or storage_branch(Path(os.path.abspath(self.graphroot)))  # noqa: PTH100


def _chosen(
    store: Graphroot | Dockerroot, names: Sequence[str], graphroot: Path, progress: Progress
) -> list[SourceImage]:
    images = store.images()
    if names:
        return list(dict.fromkeys(_named(images, name) for name in names))
    for image in images:
        if image.layers is None:
            progress.message(f"{image}: left out: {image.fault}")
    if isinstance(store, Graphroot) and (artifacts := store.artifacts()):
        progress.message(
            f"{several(len(artifacts), 'artifact')} left out: {first_of(artifacts)}; `import-image"
            f" --artifact NAME=oci:{graphroot}/artifacts:NAME` takes them"
        )
    return sorted((image for image in images if image.layers is not None), key=lambda one: one.id)


def open_source(path: Path, progress: Progress) -> Graphroot | Dockerroot:
    """Return the store at the path. Raise ImporterError if there is none, or if its driver is not
    supported."""
    path = path.resolve()
    directory = ForeignDirectory.named(path)  # held open as long as we run
    names = {os.fsdecode(name) for name in directory.names()}
    if "overlay-images" in names or "overlay-layers" in names:
        return Graphroot(directory)
    if "image" in names and directory.is_there(DOCKER_HOME):
        return Dockerroot(directory, progress)
    raise ImporterError(
        f"{path} is no store of images that we can read", hint=_hint(path, directory, names)
    )


def _hint(path: Path, directory: ForeignDirectory, names: set[str]) -> str:
    drivers = sorted(name.removesuffix("-images") for name in names if name.endswith("-images"))
    if "image" in names:
        with directory.directory(b"image") as docker_images:
            drivers += map(os.fsdecode, docker_images.names())
    if drivers:
        return f"its driver is {drivers[0]}; only overlay and Docker's overlay2 can be read"
    # Docker 29 has no `image` in its own directory, unless it began as an older one.
    docker = "engine-id" in names or directory.is_there(b"containerd/daemon")
    if docker or any(name.startswith("io.containerd.") for name in names):
        return f"containerd keeps images in its own way; {THROUGH_DOCKER}"
    if "storage" in names:
        return f"did you mean {path / 'storage'}?"
    return "it is usually /var/lib/containers/storage or /var/lib/docker"


def _named(images: Sequence[SourceImage], name: str) -> SourceImage:
    image = select(images, name)
    if image is None:
        raise ImporterError(
            f"the store has no image {name[:200]!r}", hint="without a name, all images are taken"
        )
    if image.layers is None:
        raise ImporterError(f"{image}: {image.fault}", hint=image.hint)
    return image
