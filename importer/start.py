"""Where the console scripts begin."""

from __future__ import annotations

import signal


def import_image() -> None:
    """The command import-image.

    Loading libostree's bindings takes a while, in which Python would answer Ctrl-C with a
    traceback; once loaded, the command line takes care of it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from importer import cli

    cli.import_image()
