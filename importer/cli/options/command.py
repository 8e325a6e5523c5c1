"""A command of click whose options have headings in --help, and rules between each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.cli.options.rules import Rule

_OTHER = "Other options"
# Characters of the first column of --help. The help of a longer option begins on the next line.
_WIDEST = 30


class Command(click.Command):
    """A command. `options` are the options by their headings, in the order of --help."""

    def __init__(
        self,
        name: str,
        callback: Callable[..., None],
        arguments: Sequence[click.Argument],
        options: Mapping[str, Sequence[click.Option]],
        rules: Sequence[Rule],
    ) -> None:
        parameters = [*arguments, *(one for below in options.values() for one in below)]
        super().__init__(
            name,
            callback=callback,
            help=callback.__doc__,
            params=parameters,
        )
        self._options = options
        self._rules = rules

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Raise UsageError if it breaks a rule."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            for rule in self._rules:
                rule(ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and their help below their headings, in the same two columns."""
        below = self.help_records(ctx)
        widths = (len(written) for records in below.values() for written, _ in records)
        width = max(one for one in widths if one <= _WIDEST)
        for heading, records in below.items():
            with formatter.section(heading):
                padded = [(written.ljust(width), text) for written, text in records]
                formatter.write_dl(padded, col_max=_WIDEST)

    def help_records(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return how each option is written and its help, by heading."""
        named = {one.name for below in self._options.values() for one in below}
        other = [one for one in self.get_params(ctx) if one.name not in named]
        return {
            heading: list(_records(ctx, below))
            for heading, below in {**self._options, _OTHER: other}.items()
        }


def _records(
    ctx: click.Context, parameters: Sequence[click.Parameter]
) -> Iterator[tuple[str, str]]:
    for one in parameters:
        if isinstance(one, click.Option) and (record := one.get_help_record(ctx)) is not None:
            yield record
