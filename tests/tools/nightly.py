"""Nightly releases: component images and a payload image that lists them, in a registry."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.tools.entry import Entry
from tests.tools.image import BuiltImage, Document, build_oci
from tests.tools.registry import Registry

COMPONENTS = (
    "cli",
    "coredns",
    "csi-snapshot-controller",
    "etcd",
    "haproxy-router",
    "hyperkube",
    "kube-rbac-proxy",
    "oauth-proxy",
    "ovn-kubernetes-microshift",
    "pod",
    "service-ca-operator",
    "topolvm",
)
ARCHES = ("amd64", "arm64")


@dataclass(frozen=True)
class Nightly:
    """A release for one architecture; `images` by component, `pullspec` is the payload's tag."""

    name: str
    arch: str
    pullspec: str
    payload: BuiltImage
    images: Mapping[str, BuiltImage]
    pullspecs: Mapping[str, str]
    image_stream: Document

    def layers(self, *components: str) -> set[str]:
        """The digests of the layers of some components, or of all."""
        chosen = components or self.images.keys()
        return {digest for name in chosen for digest in self.images[name].layer_digests}

    def release_json(self) -> Document:
        """As MicroShift's release-<arch>.json."""
        return {"release": {"base": self.name}, "images": dict(self.pullspecs)}

    def release_info(self) -> Document:
        """As `oc adm release info -o json`, as far as anybody reads it."""
        return {
            "image": self.pullspec,
            "digest": self.payload.digest,
            "config": {"architecture": self.arch, "os": "linux"},
            "metadata": {"kind": "cincinnati-metadata-v0", "version": self.name},
            "references": self.image_stream,
        }


class Nightlies:
    """Pushes nightlies; a component that did not change is the same image in the next one."""

    def __init__(
        self,
        registry: Registry,
        directory: Path,
        prefix: str = "ocp",
        size: int = 4096,
        components: Sequence[str] = COMPONENTS,
    ) -> None:
        """`size` is that of each component's own files in bytes, the lower layer's twice."""
        self.registry = registry
        self.directory = directory
        self.prefix = prefix
        self.size = size
        self.components = components
        self._versions: dict[str, int] = {}

    def push(self, name: str, arch: str = "amd64", changed: Collection[str] = ()) -> Nightly:
        """A release; `changed` components are new since the last one of this architecture."""
        for component in self.components:
            self._versions.setdefault(f"{component}/{arch}", 1)
        for component in changed:
            self._versions[f"{component}/{arch}"] += 1
        images = {component: self._component(component, arch) for component in self.components}
        art = f"{self.prefix}/art-dev"
        pullspecs = {one: self.registry.push(image, art) for one, image in images.items()}
        stream = self._image_stream(name, arch, pullspecs)
        payload = self.payload(json.dumps(stream).encode(), arch)
        pullspec = self.registry.push(payload, f"{self.prefix}/release:{name}-{arch}")
        return Nightly(name, arch, pullspec, payload, images, pullspecs, stream)

    def _component(self, component: str, arch: str) -> BuiltImage:
        """Three layers: one that all share, one of its own, and one that a new version changes."""
        version = self._versions[f"{component}/{arch}"]
        base = [Entry(b"etc", "dir", 0o755), Entry(b"etc/os-release", content=arch.encode())]
        own = [Entry(f"usr/{component}".encode(), content=self._random(component, 2 * self.size))]
        content = self._random(f"{component} {version}", self.size)
        top = [Entry(b"usr/version", content=content)]
        if version > 1:
            top.append(Entry(f"usr/.wh.{component}".encode(), mode=0))
        layers = [base, [Entry(b"usr", "dir", 0o755), *own], [Entry(b"usr", "dir", 0o755), *top]]
        created = f"2024-05-{version:02}T00:00:00Z"
        return build_oci(self.directory, component, layers, architecture=arch, created=created)

    def _image_stream(self, name: str, arch: str, pullspecs: Mapping[str, str]) -> Document:
        tags = [self._tag(one, arch, pullspec) for one, pullspec in pullspecs.items()]
        return {
            "kind": "ImageStream",
            "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": name, "creationTimestamp": "2024-05-06T07:08:09Z"},
            "spec": {"lookupPolicy": {"local": False}, "tags": tags},
        }

    def _tag(self, component: str, arch: str, pullspec: str) -> Document:
        version = self._versions[f"{component}/{arch}"]
        said = {
            "io.openshift.build.commit.id": self._commit(component, version),
            "io.openshift.build.source-location": f"https://github.com/openshift/{component}",
        }
        origin = {"kind": "DockerImage", "name": pullspec}
        return {"name": component, "annotations": said, "from": origin, "generation": None}

    @staticmethod
    def _random(seed: str, size: int) -> bytes:
        """The same for the same seed; nothing compresses it."""
        return Random(seed).randbytes(size)

    @staticmethod
    def _commit(component: str, version: int) -> str:
        return sha256(f"{component} {version}".encode()).hexdigest()[:40]

    def payload(self, references: bytes, arch: str, **changes: Any) -> BuiltImage:
        """A payload image with this list in its top layer, as `oc adm release new` makes it."""
        manifests = [
            Entry(b"release-manifests", "dir", 0o755),
            Entry(b"release-manifests/0000_50_cluster.yaml", content=b"kind: Deployment\n"),
            Entry(b"release-manifests/image-references", content=references),
        ]
        operator = [Entry(b"usr", "dir", 0o755), Entry(b"usr/operator", content=b"x" * 100_000)]
        labels = {"Labels": {"io.openshift.release": "of the tests"}}
        options = {"architecture": arch, "config": labels} | changes
        return build_oci(self.directory, "payload", [operator, manifests], **options)
