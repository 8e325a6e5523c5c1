"""The command image-store."""

from __future__ import annotations

import click

from importer.cli.embed import embed
from importer.cli.options.command import SETTINGS
from importer.cli.options.declare import versioned
from importer.cli.store_changes import export, prune, remove
from importer.cli.store_device import doctor, heal
from importer.cli.store_queries import diff, history, list_images, report, show, verify


@click.group("image-store", context_settings=SETTINGS)
@versioned
def image_store() -> None:
    """See, check and clean up the container images in an ostree repo.

    A store is found in a branch by what import-image wrote into its commit, or at --prefix.
    IMAGE is a name, an id or its beginning, or a digest, as podman takes them.
    """


for _one in (
    *(list_images, show, history, diff, verify, remove, prune, export, report, embed),
    *(heal, doctor),
):
    image_store.add_command(_one)
