"""Declare options as the fields of classes. `given.py` makes commands of these.

    class Commit(OptionGroup, heading=Heading.RESULT):
        RULES = (needs("subject", "branch", error="--subject needs --branch"),)

        subject: str | None = option(TextType(), help="The commit's subject.")

    @command("import-image", References, Commit)
    def import_image(given: Given) -> None:
        print(given(Commit).subject)

The field `dry_run` is the option `--dry-run`, unless the declaration names another. The kind of
value converts it, and has its name in --help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, cast, dataclass_transform, overload

import click

from importer.cli.options.command import Setting
from importer.cli.options.types import OneOf
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.cli.options.rules import Rule
    from importer.cli.options.types import Parsed

type Complete = Callable[[click.Context, click.Parameter, str], list[str]]
type Check[T] = Callable[[click.Context, click.Parameter, T | None], T | None]

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


@frozen
class Declaration:
    """An option or argument. `make` returns click's parameter for the name of the field. `absent`
    is the value if a test leaves the field out."""

    make: Callable[[str], click.Option | click.Argument]
    absent: object


@dataclass_transform(frozen_default=True, kw_only_default=True)
class OptionGroup:
    """Base of the classes whose fields are options of one heading.

    They read as frozen dataclasses. To make a dataclass takes time, of which a short run has none.
    """

    HEADING: ClassVar[Heading]
    RULES: ClassVar[tuple[Rule, ...]] = ()
    COMMON: ClassVar[tuple[str, ...]] = ()  # fields whose options -h shows
    declared: ClassVar[Mapping[str, Declaration]] = {}  # by the fields' names

    def __init_subclass__(cls, heading: Heading | None = None) -> None:
        cls.HEADING = heading or cls.HEADING
        own = {name: made for name, made in vars(cls).items() if isinstance(made, Declaration)}
        cls.declared = {**cls.declared, **own}

    def __init__(self, **values: object) -> None:
        absent = {name: declaration.absent for name, declaration in self.declared.items()}
        vars(self).update(absent | values)


@overload
def option[T](
    kind: Parsed[T],
    *flags: str,
    help: str,
    envvar: str | None = None,
    check: Check[T] | None = None,
    complete: Complete | None = None,
) -> T | None: ...


@overload
def option[T](
    kind: Parsed[T], *flags: str, help: str, default: T, shown: str | None = None
) -> T: ...


def option[T](
    kind: Parsed[T],
    *flags: str,
    help: str,
    default: T | None = None,
    shown: str | None = None,
    envvar: str | None = None,
    check: Check[T] | None = None,
    complete: Complete | None = None,
) -> T | None:
    """Declare an option with one value; without a `default` that is None if it is not given.

    `shown` is the default as a user writes it, for --help.
    `check` is click's callback, called with the converted value.
    """
    return _option(
        default, flags, kind, help=help, default=shown or default, show_default=True,
        envvar=envvar, show_envvar=bool(envvar), callback=check, shell_complete=complete,
    )  # fmt: skip


def setting[T](kind: Parsed[T], *, default: T) -> T:
    """Declare a value that a config file alone gives; config.py has the key."""
    return _field(default, lambda name: Setting([_flag(name), name], kind, default))


def required[T](
    kind: Parsed[T],
    *flags: str,
    help: str,
    envvar: str | None = None,
    complete: Complete | None = None,
) -> T:
    """Declare an option with one value that has to be given."""
    return _option(
        cast("T", None), flags, kind, help=help, required=True,
        envvar=envvar, show_envvar=bool(envvar), shell_complete=complete,
    )  # fmt: skip


def several[T](
    kind: Parsed[T],
    *flags: str,
    help: str,
    default: tuple[T, ...] = (),
    complete: Complete | None = None,
) -> tuple[T, ...]:
    """Declare an option that may be given several times."""
    return _option(
        default, flags, kind, help=help, multiple=True, default=default,
        show_default=bool(default), shell_complete=complete,
    )  # fmt: skip


def pair[T](kind: Parsed[T], *flags: str, help: str) -> tuple[T, T] | None:
    """Declare an option with two values."""
    return _option(None, flags, kind, help=help, nargs=2)


def flag(*flags: str, help: str) -> bool:
    """Declare an option without a value."""
    return _field(False, lambda name: _NEW_OPTION(_names(name, flags), is_flag=True, help=help))


def choice[E: Enum](*flags: str, default: E, help: str) -> E:
    """Declare an option whose value is one of the Enum's, which are strings."""
    return option(
        OneOf(type(default)), *flags, default=default, shown=str(default.value), help=help
    )


def _option[T](absent: T, flags: Sequence[str], kind: Parsed[object], **settings: object) -> T:
    settings |= {"type": kind, "metavar": kind.name}
    return _field(absent, lambda name: _NEW_OPTION(_names(name, flags), **settings))


def _names(name: str, flags: Sequence[str]) -> list[str]:
    """Return the option's names for click: of these flags, and the field's own name if no flag is
    a long one."""
    long = () if any(flag.startswith("--") for flag in flags) else (_flag(name),)
    return [*long, *flags, name]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def argument[T](kind: Parsed[T], *, complete: Complete | None = None) -> T:
    """Declare a positional argument. The kind's name is the argument's."""
    return _argument(cast("T", None), kind, shell_complete=complete)


def arguments[T](
    kind: Parsed[T], *, required: bool = False, complete: Complete | None = None
) -> tuple[T, ...]:
    """Declare the positional arguments that follow the others."""
    return _argument((), kind, nargs=-1, required=required, shell_complete=complete)


def _argument[T](absent: T, kind: Parsed[object], **settings: object) -> T:
    settings |= {"type": kind, "metavar": kind.name}
    return _field(absent, lambda name: _NEW_ARGUMENT([name], **settings))


def _field[T](absent: T, make: Callable[[str], click.Option | click.Argument]) -> T:
    return cast("T", Declaration(make, absent))
