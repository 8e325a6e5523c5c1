"""The command image-store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from importer.cli.options.command import BriefHelp
from importer.cli.options.given import versioned
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

if TYPE_CHECKING:
    from collections.abc import Sequence

# podman's names of commands.
_ALIASES = {"inspect": "show", "ls": "list", "rm": "remove"}
_EXAMPLES = """
# What is in the repo?
image-store list --repo /srv/repo

# What would a device fetch for the new release?
image-store diff --repo /srv/repo release/4.19 release/4.20

# Put the images of a branch into a bootable container image:
image-store embed images --repo /srv/repo \\
    --base quay.io/example/os:10 --to quay.io/example/device:10
"""


class StoreCommands(click.Group):
    """The commands by their names or podman's. Their options may stand before the name, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Begin with the command's own name, unless there are options of the group before it."""
        own = {name for param in self.get_params(ctx) for name in param.opts}
        at = self._place(ctx, args)
        if args and at is None and own.isdisjoint(args):
            raise click.UsageError("Missing command.", ctx)
        if at is not None and own.isdisjoint(args[:at]):
            args = [_ALIASES.get(args[at], args[at]), *args[:at], *args[at + 1 :]]
        return super().parse_args(ctx, args)

    def _place(self, ctx: click.Context, args: Sequence[str]) -> int | None:
        """Return the place of the command's name: the first word that is no option and no value."""
        params = [param for command in self.commands.values() for param in command.get_params(ctx)]
        valued = {
            name
            for param in params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        words = zip(["", *args], args, strict=False)
        return next(
            (
                number
                for number, (before, word) in enumerate(words)
                if not word.startswith("-") and before not in valued
            ),
            None,
        )


@click.group("image-store", cls=StoreCommands, params=[BriefHelp(_EXAMPLES)])
@versioned
def image_store() -> None:
    """See, check and clean up the container images in an ostree repo.

    A store is found in a branch by what import-image wrote into its commit, or at --prefix.
    IMAGE is a name, an id or its beginning, or a digest, as podman takes them, or the name of a
    release's component. `ls`, `inspect` and `rm` are list, show and remove; options may stand
    before the command.
    """


for _command in (
    *(list_images, show, history, diff, check_upgrade, verify, remove, prune, export, report),
    *(embed, heal, doctor),
):
    image_store.add_command(_command)
