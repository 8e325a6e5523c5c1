"""The one door to libostree: its bindings, and its errors as ours.

PyGObject and libostree take longer to load than to read a repo's newest commit, so they are loaded
when the first name of theirs is looked up: see `importer.repo.plain_repo`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from errno import EAGAIN
from importlib import import_module
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gi.repository import Gio, GLib, OSTree
else:

    class _Library:
        """A library of GObject Introspection, loaded when an attribute is looked up."""

        def __init__(self, name, version):
            self._name = name
            self._version = version

        def __getattr__(self, attribute):
            value = getattr(_loaded(self._name, self._version), attribute)
            setattr(self, attribute, value)
            return value

    def _loaded(name, version):
        try:
            import gi

            gi.require_version(name, version)
            return import_module(f"gi.repository.{name}")
        except (ImportError, ValueError) as error:  # the latter for a typelib that is missing
            raise ImporterError(
                f"libostree's bindings for Python cannot be loaded: {error}",
                hint="apt install python3-gi gir1.2-ostree-1.0, or dnf install python3-gobject-base"
                " ostree-libs; pipx and venv need --system-site-packages and the system's own"
                " Python",
            ) from None

    Gio, GLib, OSTree = _Library("Gio", "2.0"), _Library("GLib", "2.0"), _Library("OSTree", "1.0")

__all__ = ["NO_PLACE", "GLib", "Gio", "OSTree", "faults"]

_LOCKED = "another program holds the repo's lock"
NO_PLACE = "a branch cannot lie below another one; name one with --branch"


@contextmanager
def faults(doing: str) -> Iterator[None]:
    """Turn an error of GLib or of the system into an ImporterError with the words `doing`, the
    error's message and a hint."""
    try:
        yield
    except OSError as error:
        raise _error(doing, error.strerror or str(error)) from error
    except GLib.Error as error:
        raise _error(doing, _message(error)) from error


def _error(doing: str, message: str) -> ImporterError:
    return ImporterError(f"{doing}: {message}", hint=_hint(message))


# What libostree puts in front of a message, and `doing` says as well.
_DOING = ("opening repo: ", "Locking repo shared failed: ", "Locking repo exclusive failed: ")


def _message(error: GLib.Error) -> str:
    message = (error.message or "unknown error").splitlines()[0]
    for doing in _DOING:
        if message.startswith(doing):
            reason = message.removeprefix(doing)
            return _LOCKED if reason == os.strerror(EAGAIN) else reason
    return message


def _hint(message: str) -> str:
    if message.endswith(" not unique"):
        return "give more of the checksum, or a branch"
    if message == _LOCKED:
        return "an import or another program uses the repo; try again when it is done"
    if message.startswith("opendir(") or message in ("File exists", "Not a directory"):
        return "give --repo an ostree repo, or a path where there is nothing yet"
    if "refs/heads" in message or message.startswith("Conflict"):
        return NO_PLACE
    if "sync" in message and "No space left" in message:
        return "the disk is full, or the device below it: see dmesg(1); free space there"
    if "min-free-space" in message or "No space left" in message:
        return (
            "the disk is full; free space, or see min-free-space-percent in ostree.repo-config(5)"
        )
    if "Input/output error" in message:
        return "the disk of the repo fails: see dmesg(1); then check the repo by `ostree fsck`"
    if "Permission denied" in message or "Read-only file system" in message:
        return "the repo must be writable for the user who imports"
    return ""
