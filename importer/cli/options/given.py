"""Make commands of option groups, and read the values that a command line gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from importer.cli.options.command import BriefHelp, Command
from importer.cli.options.declare import Heading
from importer.cli.version import PACKAGE, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.cli.options.declare import OptionGroup

versioned = click.version_option(package_name=PACKAGE, message=TEXT)


class Given:
    """A parsed command line, as the groups that declare the options."""

    def __init__(self, context: click.Context) -> None:
        self._context = context
        self._values = context.params

    def __call__[G: OptionGroup](self, group: type[G]) -> G:
        """Return the group's values. Raise KeyError if the command does not take the group."""
        return group(**{name: self._values[name] for name in group.declared})

    def takes(self, group: type[OptionGroup]) -> bool:
        return all(name in self._values for name in group.declared)

    def is_configured(self, name: str) -> bool:
        """Return whether a config file has given the field's value, and not the command line."""
        return self._context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def command(
    name: str, *groups: type[OptionGroup], examples: str
) -> Callable[[Callable[[Given], None]], Command]:
    """Make a function a command with the options of these groups, and --version.

    The function's docstring is the help. Below a heading the options keep the groups' order.
    `examples` are lines of a shell.
    """
    return lambda work: versioned(_command(name, work, groups, examples))


def subcommand(
    name: str, *groups: type[OptionGroup], examples: str = ""
) -> Callable[[Callable[[Given], None]], Command]:
    """Make a function a command that another command contains."""
    return lambda work: _command(name, work, groups, examples)


def _command(
    name: str, work: Callable[[Given], None], groups: Sequence[type[OptionGroup]], examples: str
) -> Command:
    def callback(**_values: object) -> None:
        work(Given(click.get_current_context()))

    callback.__doc__ = work.__doc__
    rules = [rule for group in groups for rule in group.RULES]
    made = Command(name, callback, *_parameters(groups), rules)
    made.params.append(BriefHelp(examples, [field for group in groups for field in group.COMMON]))
    return made


def _parameters(
    groups: Sequence[type[OptionGroup]],
) -> tuple[list[click.Argument], dict[str, list[click.Option]]]:
    """Return the positional arguments, and the options by their headings."""
    positional: list[click.Argument] = []
    options: dict[str, list[click.Option]] = {heading.value: [] for heading in Heading}
    for group in groups:
        for name, declaration in group.declared.items():
            made = declaration.make(name)
            if isinstance(made, click.Argument):
                positional.append(made)
            else:
                options[group.HEADING.value].append(made)
    return positional, {heading: below for heading, below in options.items() if below}
