"""The entry points of the console scripts.

Python answers Ctrl-C with a traceback. While modules are loaded, SIGINT therefore ends the process
at once; later `importer.cli.signals` handles it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from importer.cli.streams import complete

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click


def import_image() -> None:
    """The command import-image."""
    _begin()
    from importer.cli import import_image

    _run(import_image.import_image)


def import_release() -> None:
    """The command import-release."""
    _begin()
    from importer.cli import import_release

    _run(import_release.import_release)


def import_storage() -> None:
    """The command import-storage."""
    _begin()
    from importer.cli import import_storage

    _run(import_storage.import_storage)


def image_store() -> None:
    """The command image-store."""
    _begin()
    from importer.cli import image_store

    _run(image_store.image_store)


def _begin() -> None:
    """Prepare the process. Answer a lone --version without loading anything."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    complete()
    if sys.argv[1:] == ["--version"]:
        from importer.cli.version import version_text

        program = os.path.basename(sys.argv[0])  # noqa: PTH119 # pathlib takes longer to load
        sys.stdout.write(f"{version_text(program)}\n")
        sys.exit()


def _run(command: click.Command) -> None:
    """Run the command, with the config files' values as the options' defaults."""
    from importer.cli.config import config_files, default_map, read_config
    from importer.cli.finish import Answer, end
    from importer.errors import ImporterError

    defaults = {}
    try:
        defaults = default_map(command, read_config(config_files(os.environ)))
    except ImporterError as error:
        fault = error

        def fail() -> Answer:
            raise fault

        if not _only_asks(sys.argv[1:], os.environ):
            end(fail, log_json="--log-json" in sys.argv)
    command(default_map=defaults)


def _only_asks(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether the user asks for help, the version or completion.

    These work even if a config file has a mistake.
    """
    completing = any(name.endswith("_COMPLETE") and name[0] == "_" for name in environment)
    return completing or not {"-h", "--help", "--version"}.isdisjoint(arguments)
