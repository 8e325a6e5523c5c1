"""The entry points of the console scripts.

Modules make many objects and next to no garbage. The garbage collector therefore rests while they
are loaded, until `importer.cli.finish` begins the work: it would only cost time.

Python answers Ctrl-C with a traceback. While modules are loaded, SIGINT therefore ends the process
at once; later `importer.cli.signals` handles it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from importer.cli.streams import complete

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click


def _start(name: str) -> None:
    """Run the command of this name, in the file of this name. Answer a lone --version at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()
    complete()
    if sys.argv[1:] == ["--version"]:
        from importer.cli.version import version_text

        program = os.path.basename(sys.argv[0])  # noqa: PTH119 # pathlib takes longer to load
        sys.stdout.write(f"{version_text(program)}\n")
        return
    command: click.Command = getattr(import_module(f"importer.cli.{name}"), name)
    _run(command)


import_image = partial(_start, "import_image")
import_release = partial(_start, "import_release")
import_storage = partial(_start, "import_storage")
import_tree = partial(_start, "import_tree")
image_store = partial(_start, "image_store")


def _run(command: click.Command) -> None:
    """Run the command, with the config files' values as the options' defaults."""
    import click

    from importer.cli.config import config_files, default_map, read_config
    from importer.cli.finish import end_early
    from layers.errors import Fault

    defaults = {}
    try:
        try:
            defaults = default_map(command, read_config(config_files(os.environ)))
        except Fault:
            if not _only_asks(sys.argv[1:], os.environ):
                raise
        command.main(default_map=defaults, standalone_mode=False)
    except (click.UsageError, Fault) as error:
        end_early(error, log_json="--log-json" in sys.argv)


def _only_asks(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether the user asks for help, the version or completion.

    These work even if a config file has a mistake.
    """
    completing = any(name.endswith("_COMPLETE") and name[0] == "_" for name in environment)
    return completing or not {"-h", "--help", "--version"}.isdisjoint(arguments)
