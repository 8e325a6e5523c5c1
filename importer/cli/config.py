"""The defaults that a machine's or user's config file gives: `import-image/config.toml`.

    repo = "/srv/repo"
    authfile = "/etc/import-image/auth.json"
    prefix = "/usr/lib/containers/storage"

The user's, in the place of the XDG Base Directory Specification, counts for more than the
machine's in /etc; an environment variable and an option count for more than both. Paths are
absolute, or begin with `~/`: a file that counts everywhere has no other place to begin at.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = "import-image/config.toml"
_KEYS = ("repo", "authfile", "prefix")
_PATHS = ("repo", "authfile")  # of this machine; the prefix is a path in a commit


def config_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where they may be, the weaker one first. A relative XDG_CONFIG_HOME is to be ignored,
    as the specification says."""
    home = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not home.is_absolute():
        home = Path(environment.get("HOME", "/")) / ".config"
    return Path("/etc") / _NAME, home / _NAME


def read_config(paths: Iterable[Path]) -> dict[str, str]:
    """What they say together, the last one counting most; ImporterError for a mistake."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            # HOME may be another user's, as where a service changes its user and keeps the
            # environment; a directory that is closed to us has no defaults for us. git, too,
            # passes over its user's file then, and over no other.
            if not os.access(path.parent, os.X_OK, effective_ids=True):
                continue
            raise ImporterError(f"config file {path}: {error.strerror}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ImporterError(f"config file {path}: {_said(error)}") from error
        found |= _parsed(path, text)
    return found


def _parsed(path: Path, text: str) -> dict[str, str]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "it has to be TOML, with strings in quotes"
        raise ImporterError(f"config file {path}: {error}", hint=hint) from None
    try:
        return {key: _value(key, value) for key, value in document.items()}
    except ImporterError as error:
        raise ImporterError(f"config file {path}: {error}", hint=error.hint) from None


def _value(key: str, value: object) -> str:
    if key not in _KEYS:
        raise ImporterError(f"{key!r} is not known", hint=f"known: {', '.join(_KEYS)}")
    if not isinstance(value, str):
        raise ImporterError(f"{key} is not a string")
    if key not in _PATHS:
        return value
    place = Path(value).expanduser() if value.startswith("~/") else Path(value)
    if not place.is_absolute():
        raise ImporterError(
            f"{key} is {value!r}", hint="an absolute path, or one with ~/, is meant"
        )
    return str(place)


def _said(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error.strerror)


def default_map(command: click.Command, config: Mapping[str, str]) -> dict[str, Any]:
    """The config as click takes it: defaults by the parameters' names.

    A command that only looks at stores finds them where their commits say; for it the
    prefix is no default, but would be an order.
    """
    if isinstance(command, click.Group):
        known = {key: value for key, value in config.items() if key != "prefix"}
        return {name: default_map(one, known) for name, one in command.commands.items()}
    found: dict[str, Any] = {}
    for parameter in command.params:
        for key, value in config.items():
            if parameter.name is not None and f"--{key}" in parameter.opts:
                found[parameter.name] = value
    return found
