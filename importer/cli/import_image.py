"""The command import-image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.named_images import NamedImages
from importer.cli.options.declare import Given, command
from importer.cli.options.images import ArchitectureOption, ImageArguments
from importer.cli.options.registry import Retries
from importer.cli.options.result import NewRepo, Shape, ToBranch
from importer.cli.run import end_import
from importer.cli.targets import FETCH, IMPORT, executors, skopeo, target

if TYPE_CHECKING:
    from importer.run.import_all import ImportJob

_EXAMPLES = """
# An image, into a branch of its own:
import-image --repo /srv/repo quay.io/microshift/busybox:1.36

# The images of a list, in one branch:
import-image --repo /srv/repo --branch images --from images.txt

# A store for podman and CRI-O in the operating system on branch "os":
import-image --repo /srv/repo --onto os --branch device/apps \\
    --storage-conf --crio-conf quay.io/microshift/busybox:1.36
"""


@command(
    "import-image",
    ImageArguments,
    ArchitectureOption,
    NewRepo,
    ToBranch,
    Shape,
    *FETCH,
    *IMPORT,
    examples=_EXAMPLES,
)
def import_image(given: Given) -> None:
    """Import container images into an ostree repo.

    REF is registry/name@sha256:DIGEST or registry/name:TAG, or TRANSPORT:... as skopeo
    writes it; NAME= before it is the image's name in the store. Each layer is committed to a
    branch of its own. The images are committed to a branch with a store that podman and CRI-O
    use as an additional image store.
    """
    images = NamedImages(given)
    end_import(
        given,
        lambda progress: _job(given, images.read().warn(progress)),
        lambda made: images.pin(made.images),
    )


def _job(given: Given, images: NamedImages) -> ImportJob:
    from importer.run.import_all import ImportJob
    from importer.sources.references import ReferenceSource
    from layers.oci.reference import registries

    references = tuple(images.names)
    wanted = registries(references)
    how = skopeo(given, given(Retries).retry_times, wanted, given(ArchitectureOption).arch)
    source = ReferenceSource(references, images.names, how)
    return ImportJob(target=target(given), source=source, executors=executors(given))
