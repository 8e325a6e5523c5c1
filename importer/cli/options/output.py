"""Options on what a command prints."""

from __future__ import annotations

import fcntl
import os

import click

from importer.cli.options.declare import Heading, OptionGroup, flag, option
from importer.cli.options.rules import exclusive
from importer.cli.options.types import NotEmpty, Number


def _writable(_context: click.Context, _option: click.Parameter, value: int | None) -> int | None:
    """Refuse a descriptor that cannot be written to, before the work begins."""
    if value is not None:
        try:
            mode = fcntl.fcntl(value, fcntl.F_GETFL) & os.O_ACCMODE
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "the number is too large"
            raise click.BadParameter(f"{value} is not open: {why}") from None
        if mode == os.O_RDONLY:
            raise click.BadParameter(f"{value} is not open for writing")
    return value


class Output(OptionGroup, heading=Heading.OUTPUT):
    """The result on standard output; messages and progress on standard error."""

    COMMON = ("as_json",)
    RULES = (exclusive("quiet", "verbose"),)

    as_json: bool = flag("--json", help="Print the result as a JSON document.")
    quiet: bool = flag("-q", help="Print errors alone: no progress, no messages.")
    verbose: bool = flag("-v", help="Print more messages.")
    log_json: bool = flag(help="Print messages and errors as JSON, an object a line.")
    progress_fd: int | None = option(
        Number(0),
        check=_writable,
        help="Write progress to this file descriptor, a JSON object a line.",
    )


class ListOutput(Output):
    """A list of images; --quiet prints less of it."""

    quiet: bool = flag("-q", help="Print the images' ids alone.")


class ListForm(OptionGroup, heading=Heading.OUTPUT):
    COMMON = ("template",)
    RULES = (exclusive("template", "as_json"), exclusive("template", "quiet"))

    template: str | None = option(
        NotEmpty("TEMPLATE"),
        "--format",
        help="Print each image by a template of podman's kind, such as '{{.ID}} {{.Names}}' or"
        " 'table {{.Name}}\\t{{.Size}}'; '{{json .}}' is a JSON document a line, and `json` what"
        " --json prints.",
    )
    no_trunc: bool = flag(help="Print ids and digests in full.")


class Rehearsal(OptionGroup, heading=Heading.OUTPUT):
    """Work that is planned and not done."""

    COMMON = ("dry_run",)

    dry_run: bool = flag("-n", help="Print what would be done; change nothing.")


class Unchanged(OptionGroup, heading=Heading.OUTPUT):
    """The exit status of an import that changes nothing."""

    unchanged_exit_77: bool = flag(help="Exit with 77 if nothing changed.")
