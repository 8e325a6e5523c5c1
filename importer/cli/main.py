"""Where the console scripts begin.

Loading libostree's bindings takes a while, in which Python would answer Ctrl-C with a
traceback; once loaded, the command line takes care of it.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

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
    from importer.cli.streams import complete

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    complete()


def _run(command: click.Command) -> None:
    """With the config file's defaults."""
    import os
    import sys

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
    """Whether it is for help, or for what Tab offers: no mistake in a config file is in the
    way of that."""
    completing = any(name.endswith("_COMPLETE") and name[0] == "_" for name in environment)
    return completing or not {"-h", "--help", "--version"}.isdisjoint(arguments)
