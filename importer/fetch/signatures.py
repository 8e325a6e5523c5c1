"""Fetch an image's signatures: sigstore attachments, and simple signatures of a lookaside server.

skopeo hands out signatures only together with all layers of an image, so these few files are
fetched without skopeo. Signature policies decide whether they are valid: skopeo applies the one in
force at the import, CRI-O its own when it creates a container.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from importer.errors import ImporterError, os_faults
from importer.fetch.blobs import Blobs
from importer.fetch.http import Http
from importer.files.presence import is_directory, is_present
from importer.files.replacement import read_file
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.oci.signatures import attachment_tag, lookaside, parse_attachments, signature_urls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo
    from layers.digest import Digest
    from layers.oci.reference import ImageName
    from layers.storage.image import Image

# skopeo reads the user's directory instead of the system's, if there is one (docker/
# registries_d.go), and these places where no file names a server.
_OWN, _SYSTEM = Path(".config/containers/registries.d"), Path("/etc/containers/registries.d")
_LOCAL = Path("/var/lib/containers/sigstore")
# How registries report a missing tag.
_ABSENT = ("manifest unknown", "not found", "name unknown")


class Signatures:
    """Fetches signatures. Their number and sizes, and the time for each, are bounded."""

    def __init__(self, skopeo: Skopeo, blobs: Blobs) -> None:
        self._skopeo = skopeo
        self._blobs = blobs
        self._http = Http(skopeo.retry_times, skopeo.timeout, blobs.progress.message)

    def added(self, image: Image) -> Image:
        """Return the image with its platform manifest's signatures; an image may have none.

        Raise FetchError if a server cannot be asked, LayerError if a signature is malformed.
        """
        name = image.reference.name
        if image.reference.transport != "docker" or name is None:
            return image
        digest = image.manifest.digest
        simple = self._simple(name, digest)
        return replace(image, signatures=(*simple, *self._attached(name, digest)))

    def _attached(self, name: ImageName, digest: Digest) -> Iterator[bytes]:
        """Yield sigstore signatures. Attachments are unsigned, so no policy is applied to them."""
        source = f"docker://{name.repository}:{attachment_tag(digest)}"
        skopeo = replace(self._skopeo, policy=None, insecure_policy=True)
        with Blobs(skopeo, self._blobs.progress) as blobs:
            raw = self._manifest(blobs, source)
            for attachment in parse_attachments(raw) if raw is not None else ():
                yield attachment.stored(blobs.read(source, attachment.blob))

    def _manifest(self, blobs: Blobs, source: str) -> bytes | None:
        try:
            return blobs.manifest(source)
        except ImporterError as error:
            if any(sign in str(error).lower() for sign in _ABSENT):
                return None
            raise

    def _simple(self, name: ImageName, digest: Digest) -> Iterator[bytes]:
        base = _base(name)
        for url in signature_urls(base, name, digest):
            signature = self._read(url)
            if signature is None:
                return
            yield signature

    def _read(self, url: str) -> bytes | None:
        """Return the body at the URL, or None if there is none."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            return read_file(path, MAX_DOCUMENT_SIZE) if is_present(path) else None
        if parts.scheme not in ("http", "https"):
            raise ImporterError(f"{url}: signatures are read by file:, http: and https: alone")
        return self._http.find(url)


def _base(name: ImageName) -> str:
    """Return the base URL of the image's simple signatures, by the machine's registries.d."""
    home = Path.home() / _OWN
    directory = home if is_directory(home) else _SYSTEM
    try:
        files = [(str(path), read_file(path, MAX_DOCUMENT_SIZE)) for path in _yaml_files(directory)]
        return lookaside(files, name) or f"file://{_LOCAL}"
    except LayerError as error:
        raise ImporterError(str(error), hint="containers-registries.d(5) has its format") from None


def _yaml_files(directory: Path) -> list[Path]:
    if not is_directory(directory):
        return []
    with os_faults(f"{directory} cannot be read"):
        return sorted(path for path in directory.iterdir() if path.name.endswith(".yaml"))
