"""The one door to libostree: its bindings, and its errors as ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import gi

gi.require_version("OSTree", "1.0")
from gi.repository import Gio, GLib, OSTree  # noqa: E402

from importer.errors import ImporterError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NO_PLACE", "GLib", "Gio", "OSTree", "faults"]

NO_PLACE = "a branch cannot lie below another one; name one with --branch"


@contextmanager
def faults(doing: str) -> Iterator[None]:
    """Turn an error of GLib or of the system into an ImporterError: what was done, what libostree
    said, and a hint."""
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise ImporterError(f"{doing}: {said}", hint=_hint(said)) from error
    except GLib.Error as error:
        said = (error.message or "unknown error").splitlines()[0]
        raise ImporterError(f"{doing}: {said}", hint=_hint(said)) from error


def _hint(said: str) -> str:
    if "opendir(objects)" in said or said in ("File exists", "Not a directory"):
        return "give --repo an ostree repo, or a path where there is nothing yet"
    if "refs/heads" in said or said.startswith("Conflict"):
        return NO_PLACE
    if "sync" in said and "No space left" in said:
        return "the disk is full, or the device below it: see dmesg(1); free space there"
    if "min-free-space" in said or "No space left" in said:
        return (
            "the disk is full; free space, or see min-free-space-percent in ostree.repo-config(5)"
        )
    if "Input/output error" in said:
        return "the disk of the repo fails: see dmesg(1); then check the repo by `ostree fsck`"
    if "Permission denied" in said or "Read-only file system" in said:
        return "the repo must be writable for the user who imports"
    return ""
