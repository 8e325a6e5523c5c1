"""The images of a call with flattened layers, within the limits of a layer and of a commit."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from importer.cache.flattened import flattened
from importer.ingest.budget import Allowance
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.cache.flattened import Flattened
    from importer.commit.target import Target
    from importer.repo.writer import Repo
    from layers.storage.image import Image


def flattened_images(
    target: Target, repo: Repo, branches: Mapping[str, Sequence[Image]]
) -> Mapping[str, Sequence[Image]]:
    """Return each branch's images, flattened; the keys are the branches.

    The images of all branches are read by `jobs` processes. Raise LayerError, with the image, if a
    flattened layer breaks the limits, or all of them together those of the call.
    """
    allowance = Allowance(target.total)
    limits = allowance.left(target.layer_options).limits
    images = [image for group in branches.values() for image in group]
    with closing(flattened(repo, images, limits, target.budget.jobs)) as flat:
        return {
            name: _within_limits(target, group, flat, allowance) for name, group in branches.items()
        }


def _within_limits(
    target: Target, images: Sequence[Image], flat: Iterator[Flattened], allowance: Allowance
) -> list[Image]:
    """Take the flattened form of each image from `flat`. Raise LayerError if all that were taken
    are too large together."""
    own, taken = target.layer_options, []
    for image in images:
        left = allowance.left(own)
        try:
            one = next(flat)
            allowance.take(one.size, one.entries)
            taken.append(one.image)
        except LayerError as error:
            found = allowance.explained(error, own, left)
            raise found.within(digest=f"{image.reference}, flattened") from None
    return taken
