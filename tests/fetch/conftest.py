"""An image of two layers in a registry, and a proxy, for the tests that speak with skopeo."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.fetch.proxy import Proxy
from importer.fetch.skopeo import Skopeo
from layers.digest import Digest
from layers.oci.manifest import Descriptor
from tests.tools.image import Blob, BuiltImage, build_oci
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

NOISE = b"".join(Digest.of(b"%d" % n).hex.encode() for n in range(30_000))
TRUSTING = Skopeo(tls_verify=False)


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")], [Entry(b"noise", content=NOISE)]])


@pytest.fixture
def source(registry: Registry, image: BuiltImage) -> str:
    return f"docker://{registry.push(image, 'skopeo:t')}"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy(TRUSTING)
    yield running
    running.close()


def wanted(blob: Blob) -> Descriptor:
    return Descriptor(blob.media_type, Digest.parse(blob.digest), blob.size)
