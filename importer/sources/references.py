"""Find and plan images by reference, for import-image."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from importer.cache.branches import artifact_branch, image_branch, rootfs_branch
from importer.commit.branch_head import empty_branch
from importer.commit.contents import check_target
from importer.commit.plan import LayerPlanner, Plan, PlannedPart, check_names
from importer.commit.target import Form
from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.repo.commit_metadata import Base
from importer.store.documents import StoredDocuments
from layers.errors import within
from layers.frozen import frozen
from layers.storage.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.commit.target import Target
    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.oci.reference import ImageName, Reference
    from layers.storage.artifact import ResolvedArtifact


@frozen
class ReferenceSource:
    """A `Source`: images and artifacts that skopeo finds. `names` are the images' names in the
    store, where these are not just their references' own; `artifacts` has those of each artifact,
    None for its reference's own."""

    references: tuple[Reference, ...]
    names: Mapping[Reference, Sequence[ImageName]]
    skopeo: Skopeo
    artifacts: Sequence[tuple[Reference, ImageName | None]] = ()

    @contextmanager
    def planned(self, target: Target, repo: Repo, progress: Progress) -> Iterator[Plan]:
        downloads = target.budget.downloads // max(1, len(self.references))
        with Blobs(self.skopeo, progress, downloads) as blobs:
            yield Plan((self._part(target, repo, blobs),))

    def _part(self, target: Target, repo: Repo, blobs: Blobs) -> PlannedPart:
        base = check_target(target, repo, target.onto, target.branch or "")
        names = dict.fromkeys(
            (
                *(_branch(target, reference) for reference in self.references),
                *(_artifact_branch(target, reference) for reference, _ in self.artifacts),
            )
        )
        empty = [
            empty_branch(target, repo, name, Base(base.commit, name) if base else None)
            for name in names
        ]
        heads = [branch.head for branch in empty]
        images, artifacts = self._resolve(target, repo, blobs, heads)
        planner = LayerPlanner(repo, target.layer_options.device_nodes)
        for image in images:
            self._ask(image.reference, partial(planner.add, image))
        for artifact in artifacts:
            planner.add(artifact)
        branches = tuple(
            replace(
                branch,
                images=tuple(
                    image for image in images if _branch(target, image.reference) == branch.name
                ),
                artifacts=tuple(
                    artifact
                    for artifact in artifacts
                    if _artifact_branch(target, artifact.reference) == branch.name
                ),
            )
            for branch in empty
        )
        if target.form is Form.LAYERS:
            return PlannedPart(blobs, images, (), planner.plan())
        for branch in branches:
            check_names(branch.images)
            check_names(branch.artifacts, "artifacts")
        return PlannedPart(blobs, images, branches, planner.plan())

    def _ask[T](self, reference: Reference, question: Callable[[], T]) -> T:
        """Return the answer. A fault names the image, if there are others."""
        several = len(self.references) + len(self.artifacts) > 1
        with within(image=str(reference) if several else ""):
            return question()

    def _resolve(
        self, target: Target, repo: Repo, blobs: Blobs, heads: Sequence[Commit | None]
    ) -> tuple[tuple[Image, ...], tuple[ResolvedArtifact, ...]]:
        """Ask for the images, and return each once for each of its names; and for the artifacts.

        Manifests and configs that the branches' stores have are not fetched.
        """
        stored = StoredDocuments()
        for head in heads:
            if head is not None:
                stored.add(repo.root(head), target.prefix)
        resolver = Resolver(self.skopeo, blobs, stored.find)
        questions: list[tuple[Reference, Callable[[], Image | ResolvedArtifact]]] = [
            *((each, partial(resolver.resolve, each)) for each in self.references),
            *((each[0], partial(resolver.artifact, *each)) for each in self.artifacts),
        ]
        with ThreadPoolExecutor(target.budget.questions) as pool:
            asked = [pool.submit(self._ask, about, question) for about, question in questions]
            if any(map(stored.lack, self.references)):
                _load_readers(repo)
            _wait(asked, blobs.close)
        answers = [answer.result() for answer in asked]
        images = tuple(
            replace(image, name=name)
            for image in answers
            if isinstance(image, Image)
            for name in self.names.get(image.reference) or (None,)
        )
        return images, tuple(each for each in answers if not isinstance(each, Image))


def _branch(target: Target, reference: Reference) -> str:
    own = rootfs_branch if target.form.is_rootfs else image_branch
    return target.branch or own(reference)


def _artifact_branch(target: Target, reference: Reference) -> str:
    return target.branch or artifact_branch(reference)


def _load_readers(repo: Repo) -> None:
    """Load what reads and commits layers, which takes as long as skopeo takes to start."""
    import importer.ingest.import_layers
    import importer.ingest.local_executor  # noqa: F401

    _ = repo.handle


def _wait[T](futures: list[Future[T]], stop: Callable[[], None]) -> None:
    """Wait until all are done, or one has failed: then stop the others, and raise its error."""
    done, running = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if future.exception() is not None:
            for other in running:
                other.cancel()
            stop()
            future.result()
