"""Rules between the options of a command: cloup's constraints, with messages of our own.

An option is named by its dataclass field. A command line that breaks a rule is a usage error.
An option is given if its value is neither None nor False nor an empty tuple, so that an option
with a default is always given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import cloup
from cloup.constraints import (
    AcceptAtMost,
    Constraint,
    ConstraintViolated,
    Equal,
    If,
    IsSet,
    RequireAtLeast,
)
from cloup.constraints.common import get_params_whose_value_is_set

if TYPE_CHECKING:
    from enum import Enum

    from cloup.constraints.conditions import Predicate


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint upon the options with these field names."""

    constraint: Constraint
    names: tuple[str, ...]

    def bind[F: Callable[..., None]](self, command: F) -> F:
        """Make the rule one of the command's."""
        return cloup.constraint(self.constraint, self.names)(command)


def exclusive(*names: str) -> Rule:
    """Accept at most one of these options."""
    return _rule(AcceptAtMost(1), names, "{} and {} exclude each other")


def at_least_one(*names: str, error: str) -> Rule:
    """Demand one of these options, or several."""
    return _rule(RequireAtLeast(1), names, error)


def needs(name: str, other: str, *, error: str) -> Rule:
    """Accept the option only beside the other one."""
    return demand(IsSet(name), other, error=error)


def demand(condition: Predicate, *names: str, error: str) -> Rule:
    """Demand one of these options if the condition holds."""
    return _rule(If(condition, then=RequireAtLeast(1)), names, error)


def refuse(condition: Predicate, *names: str, error: str) -> Rule:
    """Refuse these options if the condition holds. `{}` in the error is the first one given."""
    return _rule(If(condition, then=AcceptAtMost(0)), names, error)


def only_for(name: str, value: Enum, *names: str) -> Rule:
    """Accept these options only if the option `name` has this value."""
    error = f"{{}} is only for --{name}={value.value}"
    return refuse(~Equal(name, value), *names, error=error)


def not_for(name: str, value: Enum, *names: str) -> Rule:
    """Refuse these options if the option `name` has this value."""
    error = f"{{}} is not for --{name}={value.value}"
    return refuse(Equal(name, value), *names, error=error)


def check_other_branch(branch: str | None, onto: str | None) -> None:
    """Raise click.UsageError if --branch and --onto name the same branch."""
    if onto is not None and onto == branch:
        raise click.UsageError(
            "--branch has to be another branch than --onto, which stays as it is"
        )


def _rule(constraint: Constraint, names: tuple[str, ...], error: str) -> Rule:
    def told(violated: ConstraintViolated) -> str:
        return error.format(*_given(violated))

    return Rule(constraint.rephrased(help="", error=told), names)


def _given(violated: ConstraintViolated) -> list[str]:
    """Return those of the rule's options that are given, as one writes them."""
    values = violated.ctx.params if violated.ctx else {}
    given = get_params_whose_value_is_set(violated.params, values)
    return [max(one.opts, key=len) for one in given]
