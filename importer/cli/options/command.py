"""A command of click whose options have headings in --help and rules between each other, and `-h`.

`-h` prints the options that most users need and examples to paste, `--help` all options.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.cli.options.rules import Rule

_OTHER = "Other options"
# Options that are gone, and what does the same.
_GONE = {
    "--all-branches": "use --branch for each of them",
    "--bundle": "use --form=bundle",
    "--check": "use --dry-run",
    "--fail-on-lost": "use --lost",
    "--in-place": "use import-tree translate ROOT",
    "--name": "write NAME=REF",
    "--selinux-policy-from-base": "use --selinux-policy=base",
    "--since": "use image-store diff",
    "--undo": "use import-tree translate --undo ROOT",
}
# Characters of the first column of --help. The help of a longer option begins on the next line.
_WIDEST = 30


class Command(click.Command):
    """A command. `options` are the options by their headings, in the order of --help.

    `commands` are commands below this one. The first word of the command line names one of them, or
    is an argument of this command.
    """

    def __init__(
        self,
        name: str,
        callback: Callable[..., None],
        arguments: Sequence[click.Argument],
        options: Mapping[str, Sequence[click.Option]],
        rules: Sequence[Rule],
    ) -> None:
        parameters = [*arguments, *(option for below in options.values() for option in below)]
        super().__init__(name, callback=callback, help=callback.__doc__, params=parameters)
        self._options = options
        self._rules = rules
        self.commands: dict[str, click.Command] = {}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Parse the command line of this command, or of the one that the first word names."""
        below = self.commands.get(args[0]) if args else None
        if below is None:
            return super().make_context(info_name, args, parent, **extra)
        return below.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Raise UsageError if it breaks a rule."""
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            instead = self._instead(error.option_name)
            if instead is None:
                raise
            text = f"No such option {error.option_name!r}: {instead}"
            raise click.UsageError(text, ctx) from None
        if not ctx.resilient_parsing:
            for rule in self._rules:
                rule(ctx)
        return rest

    def _instead(self, name: str) -> str | None:
        """Tell what does the same as an option that is gone."""
        settings = (param for param in self.params if isinstance(param, Setting))
        if name in {f"--{setting.key}" for setting in settings}:
            return f"{name[2:]} is a key of the config file, /etc/import-image/config.toml"
        return _GONE.get(name)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and their help below their headings, in the same two columns."""
        below = self.help_records(ctx)
        widths = (len(written) for records in below.values() for written, _ in records)
        width = max(width for width in widths if width <= _WIDEST)
        for heading, records in below.items():
            with formatter.section(heading):
                padded = [(written.ljust(width), text) for written, text in records]
                formatter.write_dl(padded, col_max=_WIDEST)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how the commands below this one are called, and what they do."""
        if self.commands:
            with formatter.section("Commands"):
                for name, below in self.commands.items():
                    usage = " ".join([name, *below.collect_usage_pieces(ctx)])
                    formatter.write_dl([(usage, below.get_short_help_str(200))])

    def help_records(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return how each option is written and its help, by heading."""
        named = {option.name for below in self._options.values() for option in below}
        other = [param for param in self.get_params(ctx) if param.name not in named]
        return {
            heading: list(_records(ctx, below))
            for heading, below in {**self._options, _OTHER: other}.items()
        }


def _records(
    ctx: click.Context, parameters: Sequence[click.Parameter]
) -> Iterator[tuple[str, str]]:
    for param in parameters:
        if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
            yield record


class Setting(click.Option):
    """A value that a config file alone gives. `key` is its name there."""

    def __init__[T](self, names: Sequence[str], kind: click.ParamType[T], default: T) -> None:
        super().__init__(names, hidden=True, type=kind, default=default)
        self.key = self.opts[0].removeprefix("--")

    def add_to_parser(self, parser: object, ctx: click.Context) -> None:
        """Take nothing from the command line."""


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
        if isinstance(ctx.command, click.Group | Command):
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
        from importer.errors import ImporterError

        try:
            print_text(option.text(ctx))
        except ImporterError as error:
            raise ImporterError(error.message) from None  # the hint is on work that was done
        ctx.exit()


def _first_clause(text: str) -> str:
    return re.split(r"[.;:]( |$)", text, maxsplit=1)[0] + "."
