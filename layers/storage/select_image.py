"""Choose one of a store's images by a name, as podman looks it up.

Source: podman-images(1), and containers/common libimage/runtime.go, `LookupImage`: an exact name,
an id or the beginning of just one, then the short name of just one image. A manifest's digest
alone, or its beginning, which podman shows but does not look for, is accepted as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layers.digest import Digest

_HEX = frozenset("0123456789abcdef")


@frozen
class NamedImage:
    """An image that can be chosen.

    `id` is the image id, 64 hex digits. `names` are `repo:tag` and `repo@digest`, written out in
    full. `digests` are those of its manifests and indexes.
    """

    id: str
    names: tuple[str, ...]
    digests: tuple[Digest, ...]


def select[T: NamedImage](images: Sequence[T], text: str) -> T | None:
    """Return the image that the text names, or None. Raise LayerError if it names several."""
    exact = [image for image in images if _wanted(text) in image.names]
    if exact:
        return _single(exact, text)
    ids = [image for image in images if _is_id(text) and image.id.startswith(_bare_id(text))]
    if len(ids) == 1:
        return ids[0]
    digests = [image for image in images if text in map(str, image.digests)]
    short = [image for image in images if _matches(image, text)]
    begun = [
        image
        for image in images
        if _is_id(text) and any(digest.hex.startswith(_bare_id(text)) for digest in image.digests)
    ]
    return _single(digests or short or ids or begun, text)


def _single[T: NamedImage](images: Sequence[T], text: str) -> T | None:
    if len(images) > 1:
        ids = ", ".join(image.id[:12] for image in images[:4])
        raise LayerError(
            f"{text[:200]!r} could mean {len(images)} images: {ids}",
            hint="write the name out with its registry, or give more of the id",
        )
    return images[0] if images else None


def _bare_id(text: str) -> str:
    return text.removeprefix("sha256:")


def _is_id(text: str) -> bool:
    bare = _bare_id(text)
    return bool(bare) and len(bare) <= 64 and _HEX.issuperset(bare)


def _wanted(text: str) -> str:
    """Return the name, with the tag `latest` where none is written."""
    return text if "@" in text or ":" in text.rpartition("/")[2] else f"{text}:latest"


def _matches(image: NamedImage, text: str) -> bool:
    """Return whether the text is the end of a name, from a slash on: `nginx:1` for
    `docker.io/library/nginx:1`. The digest of any of the image's manifests, or its beginning, fits
    any name."""
    repository, at, digest = _wanted(text).partition("@")
    if not at:
        return any(f"/{name}".endswith(f"/{repository}") for name in image.names)
    untagged = _repository(repository)
    here = any(str(found).startswith(digest) for found in image.digests)
    return here and any(f"/{_repository(n)}".endswith(f"/{untagged}") for n in image.names)


def _repository(name: str) -> str:
    """Return the name without tag and digest."""
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    return head + slash + last.partition(":")[0]
