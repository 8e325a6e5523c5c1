"""The job of `image-store embed`: a store, a base image, a destination, and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.compress.compress import BlobCompression
from layers.storage.packing import Pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class EmbedContents:
    """Labels, annotations and files to add beside the store.

    `bound` stands for --bound, `equivalence` for --selinux-equivalence.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    bound: bool = False
    equivalence: bool = False


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """An image to make.

    `prefix` is the store's directory in the branch, None for the one that its metadata names.
    `jobs` is how many layers are packed at once, `downloads` how many blobs are fetched at once.
    `max_layers` is the most layers that the image may have, the base's included. `small` says
    whether the packing makes updates small or the whole image.
    """

    repo: Path
    branch: str
    prefix: str | None
    base: Reference
    to: Reference
    skopeo: Skopeo
    jobs: int
    downloads: int
    contents: EmbedContents = field(default_factory=EmbedContents)
    compression: BlobCompression = BlobCompression.GZIP
    max_layers: int = 128
    small: Pack = Pack.UPDATES
