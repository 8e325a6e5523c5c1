"""`-h`: the options that most users need and examples to paste. `--help` prints all options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class BriefHelp(click.Option):
    """The option `-h`. `common` has the field names of the options to show, `examples` the lines of
    a shell to print below them."""

    def __init__(self, examples: str, common: Sequence[str] = ()) -> None:
        super().__init__(
            ["-h", "brief_help"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Show the most used options and examples, and exit.",
            callback=_show,
        )
        self.examples = examples.strip()
        self.common = frozenset(common)

    def text(self, ctx: click.Context) -> str:
        """Return what `-h` prints."""
        formatter = ctx.make_formatter()
        ctx.command.format_usage(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text((ctx.command.help or "").partition("\n\n")[0])
        if records := [*self._records(ctx)]:
            with formatter.section("Common options"):
                formatter.write_dl(records)
        if isinstance(ctx.command, click.Group):
            ctx.command.format_commands(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                indented = (f"  {line}".rstrip() for line in self.examples.splitlines())
                formatter.write("\n".join(indented) + "\n")
        more = "COMMAND -h" if isinstance(ctx.command, click.Group) else "--help"
        formatter.write(f"\nAll options: {ctx.command_path} {more}")
        return formatter.getvalue()

    def _records(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        for option in ctx.command.params:
            if isinstance(option, click.Option) and option.name in self.common:
                record = option.get_help_record(ctx)
                if record is not None:
                    yield record[0], _first_clause(option.help or "")


def _show(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing and isinstance(option, BriefHelp):
        from importer.cli.finish import print_text

        print_text(option.text(ctx))
        ctx.exit()


def _first_clause(text: str) -> str:
    return re.split(r"[.;:]( |$)", text, maxsplit=1)[0] + "."
