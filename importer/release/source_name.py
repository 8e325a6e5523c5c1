"""Tell the kind, architecture and registry of a SOURCE of the command line by its text."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from layers.architecture import go_arch, is_architecture
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import Reference, registries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.release.release import Release

_FOR_ARCH = re.compile(r"([a-z0-9_]+)=(.+)", re.DOTALL)
# How MicroShift names its files: release-x86_64.json, release-olm-aarch64.json.
_FILE_ARCH = re.compile(r".*-([a-z0-9_]+)\.json")
# REF!/PATH, as Java writes a file in an archive; no reference of a registry has a "!".
IN_IMAGE = "!/"
_STREAM_IN_URL = re.compile(r"https?://.*/releasestream/([^/?]+)/.*")


@frozen
class SourceName:
    """A SOURCE of the command line; `arch` is "" if it is for every architecture."""

    text: str
    arch: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `ARCH=SOURCE`, or a file or URL that ends in `-ARCH.json`, or any other text."""
        match = _FOR_ARCH.fullmatch(text)
        if match and is_architecture(match[1]):
            return cls(match[2], go_arch(match[1]))
        match = _FILE_ARCH.fullmatch(text.rpartition("/")[2])
        if match and is_architecture(match[1]):
            return cls(text, go_arch(match[1]))
        return cls(text)

    @property
    def stream(self) -> str:
        """Return the stream that a controller's URL names, or ""."""
        match = _STREAM_IN_URL.fullmatch(self.text)
        return match[1] if match else ""


def is_source(text: str) -> bool:
    """Return whether this can be a SOURCE: a URL, `-`, an existing file, an image or a file in
    one."""
    if _is_document(text):
        return True
    try:
        Reference.parse(text.partition(IN_IMAGE)[0])
    except LayerError:
        return False
    return True


def registries_of(sources: Iterable[str]) -> set[str]:
    """Return the registries of the release payloads that the command line names."""
    names = [SourceName.parse(text).text for text in sources]
    return _registries(name.partition(IN_IMAGE)[0] for name in names if not _is_document(name))


def registries_in(release: Release) -> set[str]:
    """Return the registries of a release's images; malformed pullspecs are left out."""
    return _registries(release.pullspecs.values())


def _registries(pullspecs: Iterable[str]) -> set[str]:
    references = []
    for text in pullspecs:
        with suppress(LayerError):
            references.append(Reference.parse(text))
    return registries(references)


def _is_document(text: str) -> bool:
    return is_foreign(text) or is_file(text)


def is_foreign(text: str) -> bool:
    """Return whether the text names standard input or a URL."""
    return text == "-" or text.startswith(("http://", "https://"))


def is_file(text: str) -> bool:
    """Return whether the text names a file or directory, readable or not."""
    try:
        Path(text).stat()
    except OSError as error:  # opening the file gives the user any other error
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    return bool(text)
