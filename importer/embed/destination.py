"""Write the new image to its destination: an OCI layout directly, others by `skopeo copy`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.oci_layout import Layout
from importer.files.scratch import scratch
from layers.digest import Digest
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import Reference

_TAG = "latest"


@frozen
class Published:
    """The manifest's digest at the destination. `unchanged`: the destination had it before."""

    digest: Digest
    unchanged: bool


class Destination:
    """An OCI layout, in which the image is written. `copy_to` is the destination that skopeo copies
    the layout to, "" if the layout itself is the destination."""

    def __init__(self, directory: Path, tag: str, skopeo: Skopeo, copy_to: str) -> None:
        self.layout = Layout(directory, tag)
        self._source = f"oci:{directory}:{tag}"
        self._digest_file = directory / "digest"
        self._skopeo = skopeo
        self._copy_to = copy_to

    def publish(self, manifest: bytes) -> Published:
        """Publish the image under its name, unless the destination has the same manifest already.

        The digest is the one at the destination: docker-archive converts the manifest.
        """
        digest = Digest.of(manifest)
        if self._present() == digest:
            return Published(digest, unchanged=True)
        self.layout.finish(manifest, digest)
        if self._copy_to:
            digest = self._skopeo.copy(self._source, self._copy_to, self._digest_file)
        return Published(digest, unchanged=False)

    def _present(self) -> Digest | None:
        """Return the digest of the manifest at the destination, None if there is none to read."""
        if not self._copy_to:
            return self.layout.tagged()
        with suppress(ImporterError):
            return Digest.of(self._skopeo.inspect_raw(self._copy_to))
        return None


@contextmanager
def destination(to: Reference, skopeo: Skopeo) -> Iterator[Destination]:
    """Yield the destination. A layout for `skopeo copy` lies in TMPDIR or /var/tmp, and is removed
    afterwards."""
    with ExitStack() as held:
        if to.transport == "oci":
            directory, _, tag = to.rest.partition(":")
            place = Destination(Path(directory), tag or _TAG, skopeo, "")
        else:
            layout = held.enter_context(scratch(large=True)) / "layout"
            place = Destination(layout, _TAG, skopeo, to.source)
        place.layout.prepare()
        yield place
