"""Read the config files, `import-image/config.toml`: defaults for options, and limits.

    repo = "/srv/repo"
    authfile = "/etc/import-image/auth.json"
    prefix = "/usr/lib/containers/storage"
    whiteouts = "none"
    jobs = 4
    max-parallel-downloads = 6
    spool-size = "1G"
    max-layer-size = "64G"

The machine's file is in /etc, the user's where the XDG Base Directory Specification puts it. An
option comes before an environment variable, that before the user's file, and that before the
machine's. Paths are absolute or begin with `~/`, since a command may run in any directory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A command's defaults by its parameters' names, or by a subcommand's name that one's defaults.
type Defaults = dict[str, str | Defaults]

_NAME = "import-image/config.toml"
_NUMBERS = (
    *("jobs", "max-parallel-downloads", "spool-size"),
    *("max-layer-size", "max-layer-entries", "max-size", "max-entries", "max-list-size"),
)
KEYS = ("repo", "authfile", "prefix", "whiteouts", *_NUMBERS)
_PATHS = ("repo", "authfile")  # of this machine; the prefix is a path in a commit


def config_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths of the config files, the machine's first."""
    return Path("/etc") / _NAME, user_directory(environment, "XDG_CONFIG_HOME", ".config") / _NAME


def user_directory(environment: Mapping[str, str], name: str, usual: str) -> Path:
    """Return the directory that a variable names, else the `usual` one in the user's home. A
    relative path is ignored, as the XDG Base Directory Specification demands."""
    named = Path(environment.get(name, ""))
    return named if named.is_absolute() else Path(environment.get("HOME", "/")) / usual


def read_config(paths: Iterable[Path]) -> dict[str, str]:
    """Return the values of all files, a later file's in place of an earlier one's.

    A file that does not exist has no values. Raise ImporterError for a mistake in a file.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            # HOME may be another user's, as in a service that changes its user and keeps the
            # environment. A directory that is closed to us has no defaults for us; git skips
            # its user's file in this case, too.
            if not os.access(path.parent, os.X_OK, effective_ids=True):
                continue
            raise ImporterError(f"config file {path}: {error.strerror}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ImporterError(f"config file {path}: {_why(error)}") from error
        found |= _parsed(path, text)
    return found


def _parsed(path: Path, text: str) -> dict[str, str]:
    from layers.errors import LayerError  # only where there is a config file
    from layers.toml_text import line_of, parse_toml

    try:
        document = parse_toml(text.encode(), f"config file {path}")
    except LayerError as error:
        hint = "a config file is TOML; strings are in quotes"
        raise ImporterError(error.message, hint=hint) from None
    values: dict[str, str] = {}
    for key, value in document.items():
        try:
            values[key] = _value(key, value)
        except ImporterError as error:
            line = line_of(text, key)
            where = f"{path}:{line}" if line else str(path)
            raise ImporterError(f"config file {where}: {error}", hint=error.hint) from None
    return values


def _value(key: str, value: object) -> str:
    if key not in KEYS:
        raise ImporterError(f"{key!r} is not known", hint=f"the known keys: {', '.join(KEYS)}")
    if key in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ImporterError(f"{key} is not a string")
    if key not in _PATHS:
        return value
    place = Path(value).expanduser() if value.startswith("~/") else Path(value)
    if not place.is_absolute():
        raise ImporterError(
            f"{key} is {value!r}", hint="give an absolute path, or one that begins with ~/"
        )
    return str(place)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return "the file is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error.strerror)


def default_map(command: click.Command, config: Mapping[str, str]) -> Defaults:
    """Return the config as click takes it: defaults by the parameters' names.

    image-store, a group, gets no prefix: it finds a store where the commit says. A prefix would
    keep it from finding stores elsewhere. import-tree's prefix is not
    that of a store.
    """
    if isinstance(command, click.Group):
        config = {key: value for key, value in config.items() if key != "prefix"}
        return {name: default_map(below, config) for name, below in command.commands.items()}
    if command.name == "import-tree":
        config = {key: value for key, value in config.items() if key != "prefix"}
    found: Defaults = {}
    for parameter in command.params:
        for key, value in config.items():
            if parameter.name is not None and f"--{key}" in parameter.opts:
                found[parameter.name] = value
    return found
