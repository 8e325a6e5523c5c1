"""An image's documents, and how often its registry is asked for them."""

from collections import Counter
from pathlib import Path

from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.fetch.skopeo import Skopeo
from importer.progress import Silence
from layers.oci.reference import Reference
from tests.tools.image import BuiltImage, build_oci
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry


def asked_for(registry: Registry, *images: BuiltImage) -> list[Counter[str]]:
    """For each image of one repository, resolved one after the other: what was asked for."""
    skopeo = Skopeo(tls_verify=False, insecure_policy=True)
    found = []
    with Blobs(skopeo, Silence()) as blobs:
        resolver = Resolver(skopeo, blobs)
        for image in images:
            registry.requests()
            reference = Reference.parse(registry.by_digest(image, "asked"))
            assert str(resolver.resolve(reference).manifest.digest) == image.digest
            parts = (one.path.split("/") for one in registry.requests())
            found.append(Counter(part[3] if len(part) > 3 else part[-1] for part in parts))
    return found


def built(layout: Path, registry: Registry, docker: bool) -> list[BuiltImage]:
    """Two images of one repository."""
    images = [
        build_oci(layout, f"{name.decode()}{docker}", [[Entry(name)]], docker=docker)
        for name in (b"a", b"b")
    ]
    for image in images:
        registry.push(image, "asked")
    return images


def test_nothing_is_asked_for_twice(registry: Registry, layout: Path) -> None:
    once = Counter({"": 1, "manifests": 1, "blobs": 1})
    assert asked_for(registry, *built(layout, registry, docker=False)) == [once, once]


def test_a_repository_of_docker_images_is_found_out_once(registry: Registry, layout: Path) -> None:
    """skopeo's proxy gives no original bytes of them, and fetches the config to convert them."""
    first, second = asked_for(registry, *built(layout, registry, docker=True))
    assert first == Counter({"": 2, "manifests": 2, "blobs": 2})
    assert second == Counter({"": 2, "manifests": 2, "blobs": 1})
