"""Where the new image goes: an OCI layout in place, or any other transport by `skopeo copy`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.files.large_scratch import large_scratch
from importer.files.oci_layout import Layout
from layers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import Reference

_TAG = "latest"


class Destination:
    """A layout on disk, and the transport that the image is copied to, "" if it is in place."""

    def __init__(self, directory: Path, tag: str, skopeo: Skopeo, copy_to: str) -> None:
        self.layout = Layout(directory, tag)
        self._source = f"oci:{directory}:{tag}"
        self._digest_file = directory / "digest"
        self._skopeo = skopeo
        self._copy_to = copy_to

    def publish(self, manifest: bytes) -> Digest:
        """Give the image its name. Return the digest that its manifest has there.

        A registry and most transports keep the manifest; docker-archive converts it.
        """
        digest = Digest.of(manifest)
        self.layout.finish(manifest, digest)
        if not self._copy_to:
            return digest
        return self._skopeo.copy(self._source, self._copy_to, self._digest_file)


@contextmanager
def destination(to: Reference, skopeo: Skopeo) -> Iterator[Destination]:
    """Yield the destination. A layout for `skopeo copy` lies in TMPDIR or /var/tmp, and is removed
    afterwards."""
    if to.transport == "oci":
        directory, _, tag = to.rest.partition(":")
        yield _prepared(Destination(Path(directory), tag or _TAG, skopeo, ""))
        return
    with large_scratch() as private:
        yield _prepared(Destination(private / "layout", _TAG, skopeo, to.source))


def _prepared(one: Destination) -> Destination:
    one.layout.prepare()
    return one
