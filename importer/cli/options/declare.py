"""Declare options as the fields of dataclasses. `given.py` makes commands of these.

    @options
    class Commit(Group):
        HEADING = Heading.RESULT
        RULES = (needs("subject", "branch", error="--subject needs --branch"),)

        subject: str | None = option("--subject", type=Text(), help="The commit's subject.")

    @command("import-image", References, Commit)
    def import_image(given: Given) -> None:
        print(given(Commit).subject)

click parses the command line. A field that is left out, as in a test, has click's default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, cast, dataclass_transform, overload

import click

from importer.cli.options.command import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import DataclassInstance

    from importer.cli.options.rules import Rule
    from importer.cli.options.types import ParamType

type Complete = Callable[[click.Context, click.Parameter, str], list[str]]
type Check[T] = Callable[[click.Context, click.Parameter, T | None], T | None]

_KEY = "declaration"
# With settings of any type, which click itself checks.
_NEW_OPTION: Callable[..., click.Option] = click.Option
_NEW_ARGUMENT: Callable[..., click.Argument] = click.Argument


class Heading(Enum):
    """The headings of --help, in their order there."""

    IMAGES = "Images"
    RESULT = "Result"
    SYSTEM = "Operating system"
    LABELS = "Labels and signatures"
    REGISTRY = "Registry"
    WORK = "Work at once"
    OUTPUT = "Output"


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options[G](group: type[G]) -> type[G]:
    """Make a class a frozen dataclass, without `==` and `repr`: no options need them, and each
    takes time to make."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(group)


class OptionGroup:
    """Base of the dataclasses whose fields are options of one heading."""

    __slots__ = ()

    HEADING: ClassVar[Heading]
    RULES: ClassVar[tuple[Rule, ...]] = ()
    COMMON: ClassVar[tuple[str, ...]] = ()  # fields whose options -h shows


@dataclass(frozen=True, slots=True)
class Declaration:
    """An option or argument. `make` returns click's parameter for the name of the field."""

    make: Callable[[str], click.Option | click.Argument]


@overload
def option[T](
    *flags: str,
    type: ParamType[T],
    help: str,
    metavar: str | None = None,
    envvar: str | None = None,
    check: Check[T] | None = None,
    complete: Complete | None = None,
) -> T | None: ...


@overload
def option[T](
    *flags: str,
    type: ParamType[T],
    help: str,
    default: T,
    shown: str | None = None,
    metavar: str | None = None,
    envvar: str | None = None,
) -> T: ...


def option[T](
    *flags: str,
    type: ParamType[T],
    help: str,
    default: T | None = None,
    shown: str | None = None,
    metavar: str | None = None,
    envvar: str | None = None,
    check: Check[T] | None = None,
    complete: Complete | None = None,
) -> T | None:
    """Declare an option with one value; without a `default` that is None if it is not given.

    `shown` is the default as a user writes it, for --help.
    `check` is click's callback, called with the converted value.
    """
    return _option(
        default, flags, type=type, help=help, default=shown or default, show_default=True,
        metavar=metavar, envvar=envvar, show_envvar=bool(envvar),
        callback=check, shell_complete=complete,
    )  # fmt: skip


def setting[T](key: str, *, type: ParamType[T], default: T) -> T:
    """Declare a value that a config file alone gives; config.py has the key."""
    return _field(default, Declaration(lambda name: Setting([f"--{key}", name], type, default)))


def required[T](
    *flags: str,
    type: ParamType[T],
    help: str,
    metavar: str | None = None,
    envvar: str | None = None,
    complete: Complete | None = None,
) -> T:
    """Declare an option with one value that has to be given."""
    return _option(
        cast("T", None), flags, type=type, help=help, required=True,
        metavar=metavar, envvar=envvar, show_envvar=bool(envvar), shell_complete=complete,
    )  # fmt: skip


def several[T](
    *flags: str,
    type: ParamType[T],
    help: str,
    default: tuple[T, ...] = (),
    metavar: str | None = None,
    complete: Complete | None = None,
) -> tuple[T, ...]:
    """Declare an option that may be given several times."""
    return _option(
        default, flags, type=type, help=help, multiple=True, default=default,
        show_default=bool(default), metavar=metavar, shell_complete=complete,
    )  # fmt: skip


def pair[T](*flags: str, type: ParamType[T], help: str, metavar: str) -> tuple[T, T] | None:
    """Declare an option with two values."""
    return _option(None, flags, type=type, help=help, nargs=2, metavar=metavar)


def flag(*flags: str, help: str) -> bool:
    """Declare an option without a value."""
    return _option(False, flags, is_flag=True, help=help)


def choice[E: Enum](*flags: str, default: E, help: str) -> E:
    """Declare an option whose value is one of the Enum's, which are strings."""
    kind = type(default)
    return _option(
        default, flags, type=click.Choice([member.value for member in kind]), default=default.value,
        show_default=True, callback=lambda _context, _option, value: kind(value), help=help,
    )  # fmt: skip


def _option[T](absent: T, flags: Sequence[str], **settings: object) -> T:
    return _field(absent, Declaration(lambda name: _NEW_OPTION([*flags, name], **settings)))


def argument[T](metavar: str, *, type: ParamType[T], complete: Complete | None = None) -> T:
    """Declare a positional argument."""
    return _argument(cast("T", None), metavar=metavar, type=type, shell_complete=complete)


def arguments[T](
    metavar: str, *, type: ParamType[T], required: bool = False, complete: Complete | None = None
) -> tuple[T, ...]:
    """Declare a positional argument that may be given several times."""
    return _argument(
        (), metavar=metavar, type=type, nargs=-1, required=required, shell_complete=complete
    )


def _argument[T](absent: T, **settings: object) -> T:
    return _field(absent, Declaration(lambda name: _NEW_ARGUMENT([name], **settings)))


def _field[T](absent: T, declaration: Declaration) -> T:
    made: T = field(default=absent, metadata={_KEY: declaration})
    return made


def declarations(group: type[OptionGroup]) -> Iterator[tuple[str, Declaration]]:
    """Yield the names of a group's fields and their declarations."""
    for declared in fields(cast("type[DataclassInstance]", group)):
        yield declared.name, declared.metadata[_KEY]
