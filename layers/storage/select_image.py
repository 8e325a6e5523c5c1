"""Which of a store's images a name means, as podman looks them up.

Source: podman-images(1), and containers/common libimage/runtime.go, `LookupImage`: an exact
name, an id or the beginning of just one, then the short name of just one image. A manifest's
digest alone, or its beginning, which podman shows but does not look for, is taken as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from layers.digest import Digest
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HEX = frozenset("0123456789abcdef")


class Named(Protocol):
    """An image to choose, or not."""

    @property
    def id(self) -> str:
        """64 hex digits."""

    @property
    def names(self) -> Iterable[str]:
        """`repo:tag` and `repo@digest`, written out in full."""

    @property
    def digests(self) -> Iterable[Digest]:
        """Those of its manifests and indexes."""


def select[T: Named](images: Sequence[T], text: str) -> T | None:
    """The image that the name means, or None; LayerError if it means several."""
    exact = [image for image in images if _wanted(text) in image.names]
    if exact:
        return _single(exact, text)
    ids = [image for image in images if _is_id(text) and image.id.startswith(_bare_id(text))]
    if len(ids) == 1:
        return ids[0]
    digests = [image for image in images if text in map(str, image.digests)]
    short = [image for image in images if _matches(image, text)]
    begun = [image for image in images if _is_id(text) and _has_digest(image, _bare_id(text))]
    return _single(digests or short or ids or begun, text)


def _has_digest(image: Named, beginning: str) -> bool:
    return any(digest.hex.startswith(beginning) for digest in image.digests)


def _single[T: Named](found: Sequence[T], text: str) -> T | None:
    if len(found) > 1:
        ids = ", ".join(image.id[:12] for image in found[:4])
        raise LayerError(
            f"{text[:200]!r} could mean {len(found)} images: {ids}",
            hint="write the name out with its registry, or give more of the id",
        )
    return found[0] if found else None


def _bare_id(text: str) -> str:
    return text.removeprefix("sha256:")


def _is_id(text: str) -> bool:
    bare = _bare_id(text)
    return bool(bare) and len(bare) <= 64 and _HEX.issuperset(bare)


def _wanted(text: str) -> str:
    """With the tag that is meant where none is written."""
    return text if "@" in text or ":" in text.rpartition("/")[2] else f"{text}:latest"


def _matches(image: Named, text: str) -> bool:
    """By the end of a name, at a slash: `nginx:1` for `docker.io/library/nginx:1`; a digest
    may be of any of the image's manifests, whatever the name says beside it."""
    repository, at, digest = _wanted(text).partition("@")
    if not at:
        return any(f"/{name}".endswith(f"/{repository}") for name in image.names)
    untagged = _repository(repository)
    here = digest in map(str, image.digests)
    return here and any(f"/{_repository(n)}".endswith(f"/{untagged}") for n in image.names)


def _repository(name: str) -> str:
    """Without tag and digest."""
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    return head + slash + last.partition(":")[0]
