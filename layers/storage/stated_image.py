"""Read from a commit the reference of an image, and the digest to which it was resolved.

import-image and import-storage write a line for each image into the commit's body, import-release a
component into its metadata. Neither has all names of an image: an image that comes out of another
store keeps all its names. An artifact's line begins with a word, so that it is no image's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from layers.digest import Digest
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import ImageName, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@frozen
class StatedImage:
    """An image as a commit states it. `digest` is a manifest's or an index's; `name` is a name that
    the image has in the store, None if the reference has none."""

    reference: str
    digest: Digest
    name: ImageName | None

    @classmethod
    def of(cls, reference: str, digest: str, given: str = "") -> Self | None:
        """Parse a reference and digest of a commit's body, or of a release's component. `given` is
        the name that the user gave the image. Return None if one is malformed, as in a line that
        states no image, or as the digest of a component that was never resolved."""
        try:
            name = ImageName.parse(given) if given else Reference.parse(reference).name
            return cls(reference, Digest.parse(digest), name)
        except LayerError:
            return None

    def is_among(self, names: Iterable[str]) -> bool:
        """Return whether the stated name is among an image's names. A tag beside a digest is
        ignored, since stores keep the digest alone."""
        name = self.name
        if name is None:
            return True
        if name.digest is None:
            return name in _parsed(names)
        pairs = [(parsed.repository, parsed.digest) for parsed in _parsed(names)]
        return (name.repository, name.digest) in pairs


ARTIFACT = "artifact "


def artifact_line(reference: Reference, digest: Digest) -> str:
    """Return the line of a commit's body for an artifact, which is no image's line."""
    return f"{ARTIFACT}{reference} {digest}"


def stated_reference(line: str) -> str:
    """Return the reference in a line of a commit's body, of an image or an artifact."""
    return line.removeprefix(ARTIFACT).rpartition(" ")[0]


def stated_artifacts(lines: Iterable[str]) -> dict[str, str]:
    """Return the artifacts that the lines of a commit's body state: digests by references."""
    stated = (line.removeprefix(ARTIFACT) for line in lines if line.startswith(ARTIFACT))
    return {reference: digest for reference, _, digest in (one.rpartition(" ") for one in stated)}


def stated_images(
    lines: Iterable[str], given: Mapping[str, Sequence[str]]
) -> Iterator[StatedImage]:
    """Yield the images that the lines of a commit's body state, an image once for each given name.

    `given` has the names that the user gave images, by reference.
    """
    for line in lines:
        reference, _, digest = line.rpartition(" ")
        for name in given.get(reference) or ("",):
            stated = StatedImage.of(reference, digest, name)
            if stated is not None:
                yield stated


def _parsed(names: Iterable[str]) -> Iterator[ImageName]:
    for name in names:
        try:
            yield ImageName.parse(name)
        except LayerError:  # a name of another tool; an import gives no such name
            continue
