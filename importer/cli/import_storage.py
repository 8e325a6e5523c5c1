"""The command import-storage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cli.finish import end_import
from importer.cli.options.given import Given, command
from importer.cli.options.images import GraphrootOption
from importer.cli.options.result import Shape
from importer.cli.targets import IMPORT, import_job

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.run.import_all import ImportJob

_EXAMPLES = """
# All images of this machine's podman, in one branch:
import-storage --repo /srv/repo --branch images /var/lib/containers/storage

# Two images of it:
import-storage --repo /srv/repo --branch web \\
    /var/lib/containers/storage nginx:1.27 redis:7

# What an import of Docker's images would write:
import-storage --repo /srv/repo --dry-run /var/lib/docker
"""


@command("import-storage", GraphrootOption, Shape, *IMPORT, examples=_EXAMPLES)
def import_storage(given: Given) -> None:
    """Import the images of an existing store into an ostree repo.

    GRAPHROOT is the directory of a containers-storage store (driver overlay), such as
    /var/lib/containers/storage, or of Docker's (overlay2), such as /var/lib/docker. The
    store is only read. NAME is an image's name, digest or id, as podman takes it; without one,
    all complete images are imported. The layers go to the same branches as import-image's.
    """
    end_import(given, lambda progress: _job(given, progress))


def _job(given: Given, progress: Progress) -> ImportJob:
    from importer.sources.store import GraphrootSource

    images = given(GraphrootOption)
    source = GraphrootSource.read(images.graphroot, images.names, progress)
    source = replace(source, verified_only=images.verified_only)
    return import_job(given, source, given(Shape).branch)
