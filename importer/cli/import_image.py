"""The command import-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.finish import end_import
from importer.cli.named_images import NamedImages
from importer.cli.options.given import Given, command
from importer.cli.options.images import ArchitectureOption, ImageArguments
from importer.cli.options.result import CopyOptions, Shape
from importer.cli.targets import FETCH, IMPORT, import_job, skopeo

if TYPE_CHECKING:
    from importer.run.import_all import ImportJob

_EXAMPLES = """
# An image, into a branch of its own:
import-image --repo /srv/repo quay.io/microshift/busybox:1.36

# The images of a list, as a store in a directory; no repo is needed:
import-image --to /usr/lib/containers/storage --from images.txt

# A store for podman and CRI-O in the operating system on branch "os":
import-image --repo /srv/repo --onto os --branch device/apps \\
    --storage-conf --crio-conf quay.io/microshift/busybox:1.36
"""


@command(
    "import-image", ImageArguments, ArchitectureOption, Shape, *FETCH, *IMPORT, examples=_EXAMPLES
)
def import_image(given: Given) -> None:
    """Import container images into an ostree repo.

    REF is registry/name@sha256:DIGEST or registry/name:TAG (latest without a TAG), or
    TRANSPORT:... as skopeo writes it; NAME= before it is the image's name in the store. Each
    layer is committed to a branch of its own. The images are committed to a branch with a store
    that podman and CRI-O use as an additional image store. An --artifact goes beside them, as
    files.
    """
    images = NamedImages(given)
    end_import(
        given,
        lambda progress: _job(given, images.read().warn(progress)),
        lambda made: images.pin(made.images),
    )


def _job(given: Given, images: NamedImages) -> ImportJob:
    from importer.cache.branches import copy_branch
    from importer.sources.references import ReferenceSource
    from layers.oci.reference import registries

    references = tuple(images.names)
    wanted = registries((*references, *(reference for reference, _ in images.artifacts)))
    source = ReferenceSource(references, images.names, skopeo(given, wanted), images.artifacts)
    branch, to = given(Shape).branch, given(CopyOptions).to
    if to is not None and branch is None:
        branch = copy_branch(to)  # the copy is of one branch's store
    return import_job(given, source, branch)
