"""The command image-store."""

from __future__ import annotations

import click

from importer.cli.options.command import BriefHelp
from importer.cli.options.declare import versioned
from importer.cli.store_changes import embed, export, prune, remove
from importer.cli.store_device import doctor, heal
from importer.cli.store_queries import (
    check_upgrade,
    diff,
    history,
    list_images,
    report,
    show,
    verify,
)

_EXAMPLES = """
# What is in the repo?
image-store list --repo /srv/repo

# What would a device fetch for the new release?
image-store diff --repo /srv/repo release/4.19 release/4.20

# Put the images of a branch into a bootable container image:
image-store embed images --repo /srv/repo \\
    --base quay.io/example/os:10 --to quay.io/example/device:10
"""


@click.group("image-store", params=[BriefHelp(_EXAMPLES)])
@versioned
def image_store() -> None:
    """See, check and clean up the container images in an ostree repo.

    A store is found in a branch by what import-image wrote into its commit, or at --prefix.
    IMAGE is a name, an id or its beginning, or a digest, as podman takes them.
    """


for _command in (
    *(list_images, show, history, diff, check_upgrade, verify, remove, prune, export, report),
    *(embed, heal, doctor),
):
    image_store.add_command(_command)
