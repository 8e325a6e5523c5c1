"""Files that list images (--from), and the same files with digests in place of tags (--pin)."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError, os_faults
from importer.files.presence import is_directory
from importer.files.replacement import Replacement, check_replaceable, publish_all, read_file
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.detect import ListRules, kustomization_in, parse_list, read_list
from layers.oci.reference import REGISTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from layers.lists.listed import Listed, ListFile

# Of a directory: Quadlet units, as in /etc/containers/systemd and bootc's bound-images.d, and
# manifests.
_SUFFIXES = (".container", ".image", ".yaml", ".yml", ".json")
_STDIN = Path("-")


@frozen
class ImageList:
    """A file on the disk or standard input, the images that it lists, and the rules for them."""

    path: Path
    file: ListFile
    rules: ListRules

    @property
    def images(self) -> tuple[Listed, ...]:
        return self.file.images


def read_image_lists(path: Path, rules: ListRules) -> tuple[ImageList, ...]:
    """Read a file, the units and manifests of a directory, or standard input for `-`.

    Raise ImporterError if one cannot be read or is no list, or if there is no image at all.
    """
    try:
        if path == _STDIN:
            rules = replace(rules, transports=REGISTRIES)
            listed = read_list(standard_input(), "standard input", rules.size)
            return (ImageList(path, listed, rules),)
        kustomization = _kustomization(path)
        if kustomization is not None:
            from importer.files.kustomized import read_kustomized  # with YAML, slow to load

            return (ImageList(path, read_kustomized(kustomization, rules.size), rules),)
        if not is_directory(path):
            listed = read_list(list_bytes(path, rules.size), str(path), rules.size)
            return (ImageList(path, listed, rules),)
        lists = tuple(_members(path, rules))
    except LayerError as error:
        hint = f"name the lists in {path} one by one, without this file, or move it elsewhere"
        raise ImporterError(str(error), hint=error.hint or hint) from None
    if not any(image_list.images for image_list in lists):
        raise ImporterError(
            f"{path} has no file that lists an image",
            hint=f"such files end in {', '.join(_SUFFIXES)}",
        )
    return lists


def has_members(path: Path) -> bool:
    """Return whether the path is a directory or a kustomization, which name other files."""
    return is_directory(path) or _kustomization(path) is not None


def _members(directory: Path, rules: ListRules) -> Iterator[ImageList]:
    for path in sorted(directory.iterdir()):
        if path.suffix in _SUFFIXES:
            raw = list_bytes(path, rules.size)
            listed = parse_list(raw, str(path), rules.size, lines=False)
            yield ImageList(path, listed, rules)


@cache
def standard_input() -> bytes:
    """Return what standard input has, which can be read only once; at most one byte more than
    4 MiB."""
    # sys.stdin is None if descriptor 0 was closed when Python started.
    return sys.stdin.buffer.read(MAX_DOCUMENT_SIZE + 1) if sys.stdin is not None else b""


def list_bytes(path: Path, size: int) -> bytes:
    """Read a file that lists images: JSON of a release, or a list of at most `size` bytes."""
    return read_file(path, max(size, MAX_DOCUMENT_SIZE))  # `parse_list` says how long it may be


class Pinning:
    """The pinned files: one at `target`, or all in the directory `target` under their names."""

    def __init__(self, lists: Sequence[ImageList], target: Path) -> None:
        """Raise ImporterError if the files cannot be there, and LayerError if one cannot be
        written, as far as that shows now."""
        self._lists = lists
        self._paths = [self._place(image_list, target) for image_list in lists]
        twice = next((path for path in self._paths if self._paths.count(path) > 1), None)
        if twice is not None:
            raise ImporterError(f"two lists would be written to {twice}")
        for path in self._paths:
            check_replaceable(path)
        for image_list in lists:
            image_list.file.pinned({})  # raises if it cannot be written

    def _place(self, image_list: ImageList, target: Path) -> Path:
        if is_directory(target) and image_list.path == _STDIN:
            raise ImporterError(f"{target} is a directory", hint="name a file for `--from -`")
        if is_directory(target):
            return target / image_list.path.name
        if len(self._lists) > 1:
            raise ImporterError(
                f"{target} is no directory, and there are {len(self._lists)} lists to pin",
                hint="make the directory",
            )
        return target

    def write(self, references: Mapping[str, str]) -> None:
        """Write all files or none, with these references in place of their keys, the sources."""
        with ExitStack() as stack:
            files = [
                stack.enter_context(Replacement(path, image_list.file.pinned(references)))
                for path, image_list in zip(self._paths, self._lists, strict=True)
            ]
            publish_all(files)


def _kustomization(path: Path) -> Path | None:
    """Return the kustomization at the path or in its directory, None if there is none."""
    with os_faults(f"{path} cannot be read"):
        try:
            names = set(os.listdir(path))  # noqa: PTH208 - names alone
        except NotADirectoryError:
            return path if path.name.lower().startswith("kustomization") else None
    name = kustomization_in(names)
    return path / name if name is not None else None
