"""Where the console scripts begin.

Loading libostree's bindings takes a while, in which Python would answer Ctrl-C with a
traceback; once loaded, the command line takes care of it.
"""

from __future__ import annotations

import signal


def import_image() -> None:
    """The command import-image."""
    _interruptible()
    from importer import cli

    cli.import_image()


def import_release() -> None:
    """The command import-release."""
    _interruptible()
    from importer import releasecli

    releasecli.import_release()


def import_storage() -> None:
    """The command import-storage."""
    _interruptible()
    from importer import cli

    cli.import_storage()


def image_store() -> None:
    """The command image-store."""
    _interruptible()
    from importer import storecli

    storecli.image_store()


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
