"""Make the files to update out of import-release's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from importer.cli.options.release_files import ReleaseFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.cli.options.declare import Given
    from importer.release.files import FileUpdate


def file_updates(given: Given) -> tuple[FileUpdate, ...]:
    """Return the files in the order of the kinds.

    Raise click.UsageError if the components of a new file are not clear.
    """
    return tuple(_updates(given(ReleaseFiles)))


def _updates(files: ReleaseFiles) -> Iterator[FileUpdate]:
    from importer.release.files import FileKind, FileUpdate

    kinds = {
        FileKind.RELEASE: files.updates,
        FileKind.KUSTOMIZATION: files.kustomizations,
        FileKind.CRIO: files.crio_files,
    }
    for kind, texts in kinds.items():
        for text in texts:
            yield FileUpdate.parse(kind, text)
    for text, components in zip(files.new_files, _components(files), strict=True):
        yield FileUpdate.parse(FileKind.NEW_RELEASE, text, components)


def _components(files: ReleaseFiles) -> list[tuple[str, ...]]:
    found = [tuple(filter(None, map(str.strip, text.split(",")))) for text in files.components]
    if len(found) == 1:
        found *= len(files.new_files)
    if len(found) != len(files.new_files):
        raise click.UsageError(
            f"--new-json is given {len(files.new_files)} times, --components {len(found)} times:"
            " give --components once, or once for each --new-json"
        )
    return found
