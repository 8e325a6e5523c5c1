"""Rules between the options of a command.

An option is named by its field in a group. A command line that breaks a rule is a usage error.
A flag is given if it is set, an option that can be repeated if it has a value, and any other if it
is not None, so that an option with a default is always given. What a command lacks is not given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Callable

    # Raise UsageError if the parsed command line breaks the rule.
    type Rule = Callable[[click.Context], None]
    # Tell from the parsed command line whether the condition holds.
    type Condition = Callable[[click.Context], bool]


def present(name: str) -> Condition:
    """Return a condition that holds if the option is given."""
    return lambda context: _is_given(context, name)


def chosen(name: str, value: object) -> Condition:
    """Return a condition that holds if the option has this value."""
    return lambda context: context.params[name] == value


def not_chosen(name: str, value: object) -> Condition:
    """Return a condition that holds if the option has another value."""
    return lambda context: context.params[name] != value


def exclusive(*names: str) -> Rule:
    """Accept at most one of these options."""
    return _rule(names, "{} and {} exclude each other", most=1)


def at_least_one(*names: str, error: str) -> Rule:
    """Demand one of these options, or several."""
    return _rule(names, error, least=1)


def needs(name: str, other: str, *, error: str) -> Rule:
    """Accept the option only beside the other one."""
    return demand(present(name), other, error=error)


def demand(condition: Condition, *names: str, error: str) -> Rule:
    """Demand one of these options if the condition holds."""
    return _rule(names, error, condition, least=1)


def refuse(condition: Condition, *names: str, error: str) -> Rule:
    """Refuse these options if the condition holds. `{}` in the error is the first one given."""
    return _rule(names, error, condition, most=0)


def explicit(name: str) -> Condition:
    """Return a condition that holds if the command line has the option, and not only a config."""
    return lambda context: context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def check_other_branch(branch: str | None, onto: str | None) -> None:
    """Raise click.UsageError if --branch and --onto name the same branch."""
    if onto is not None and onto == branch:
        raise click.UsageError(
            "--branch has to be another branch than --onto, which stays as it is"
        )


def _rule(
    names: tuple[str, ...],
    error: str,
    condition: Condition = lambda _context: True,
    *,
    least: int = 0,
    most: int | None = None,
) -> Rule:
    """Return a rule on how many of the options are given. `error` may have `{}` for these."""

    def check(context: click.Context) -> None:
        found = [name for name in names if _is_given(context, name)]
        fits = len(found) >= least and (most is None or len(found) <= most)
        if not fits and condition(context):
            raise click.UsageError(error.format(*_written(context, found)), context)

    return check


def _is_given(context: click.Context, name: str) -> bool:
    value = context.params.get(name)
    if value is False:
        return not any(param.name == name and _is_flag(param) for param in context.command.params)
    return value is not None and value != ()


def _is_flag(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_flag


def _written(context: click.Context, names: list[str]) -> list[str]:
    """Return the options with these field names as one writes them, in this order."""
    longest = {param.name: max(param.opts, key=len) for param in context.command.params}
    return [longest[name] for name in names]
