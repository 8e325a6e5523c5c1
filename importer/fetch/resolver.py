"""Resolve a reference to an image: fetch and verify its index, manifest and config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.skopeo_files import has_to_ask
from importer.files.replacement import read_file
from layers.architecture import go_arch
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import Fault, LayerError
from layers.oci.config import ImageConfig, parse_config
from layers.oci.manifest import Descriptor, Index, Manifest, parse_manifest, parse_single
from layers.storage.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.fetch.blobs import Blobs
    from importer.fetch.signatures import Signatures
    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import ImageName, Reference
    from layers.storage.artifact import ResolvedArtifact


class Resolver:
    """Resolve references: look each document up by its digest first, then ask skopeo."""

    def __init__(
        self,
        skopeo: Skopeo,
        blobs: Blobs,
        find: Callable[[Digest], bytes | None] = lambda _digest: None,
    ) -> None:
        """`find` returns a manifest or config that is here already, else None."""
        self._skopeo = skopeo
        self._blobs = blobs
        self._find = find
        self._signatures = new_signatures(skopeo, blobs) if skopeo.keep_signatures else None
        # By source: the platform's manifest as skopeo's proxy returned it, and its digest.
        self._given: dict[str, tuple[Digest, bytes]] = {}
        # Repositories with Docker manifests, which skopeo's proxy converts.
        self._converted: set[str] = set()

    def resolve(self, reference: Reference) -> Image:
        """Return the image for the wanted platform.

        Raise FetchError if skopeo cannot fetch the image. Raise LayerError if the documents are
        not those of an image, or do not have the reference's digest.
        """
        source, index, manifest = self._found(reference, artifact=False)
        config = self._config(source, manifest)
        self._check_platform(manifest, config)
        available = self._available(reference, source, manifest)
        image = Image(reference, source, manifest, config, index, available=available)
        return self._signatures.added(image) if self._signatures else image

    def artifact(self, reference: Reference, name: ImageName | None) -> ResolvedArtifact:
        """Return the artifact for the wanted platform, under the name given, or else under its
        reference's. Raise as `resolve` does; an image is no artifact.

        Of an index, podman and CRI-O store the platform's manifest alone (podman 5.8, CRI-O 1.37).
        """
        from layers.storage.artifact import ResolvedArtifact  # for --artifact alone

        source, _, manifest = self._found(reference, artifact=True)
        return ResolvedArtifact.of(reference, source, manifest, name)

    def _found(self, reference: Reference, *, artifact: bool) -> tuple[str, Index | None, Manifest]:
        """Return the source by digest, the index if there is one, and the platform's manifest."""
        raw, algorithm = self._top(reference)
        top = parse_manifest(raw, algorithm, artifact=artifact)
        source = reference.pinned(top.digest)
        if has_to_ask(self._skopeo, reference):
            self._blobs.check_policy(source)
        if isinstance(top, Manifest):
            return source, None, top
        known = None if artifact else self._known_platform(top)
        member = self._member(reference, source, top, known)
        return source, top, parse_single(*member, artifact=artifact)

    def _available(
        self, reference: Reference, source: str, manifest: Manifest
    ) -> tuple[Descriptor, ...] | None:
        """Return the layers' blobs if the transport may have others than the manifest lists, as
        containers-storage has; else None."""
        if reference.transport != "containers-storage":
            return None
        layers = self._blobs.layers(source)
        if len(layers) != len(manifest.layers):
            raise ImporterError(
                f"{source}: the store has {len(layers)} layers of the manifest's"
                f" {len(manifest.layers)}"
            )
        return layers

    def _top(self, reference: Reference) -> tuple[bytes, str]:
        digest = reference.name.digest if reference.name else None
        if digest is None:
            return self._blobs.manifest(reference.source), "sha256"
        raw = self._find(digest)
        if raw is None:
            raw = self._opened(reference, digest)
        if raw is None:
            raw = digest.check(self._blobs.manifest(reference.source), "the manifest")
        if reference.tagged:
            self._check_tag(reference, digest)
        return raw, digest.algorithm

    def _opened(self, reference: Reference, digest: Digest) -> bytes | None:
        """Open the image, which an import needs anyway, and return its manifest.

        Return None if skopeo does not give the original bytes: of an index it gives a member, and
        it converts a Docker manifest, for which it fetches the config. Return None after an error
        as well: the caller then fetches the manifest alone, and raises the usual error.
        """
        repository = reference.name.repository if reference.name else ""
        if reference.transport != "docker" or repository in self._converted:
            return None
        try:
            given = self._given[reference.source] = self._blobs.opened(reference.source)
        except Fault:
            return None
        if digest.of(given[1], digest.algorithm) == digest:
            return given[1]
        if given[0] == digest:
            self._converted.add(repository)
        return None

    def _check_tag(self, reference: Reference, digest: Digest) -> None:
        """Raise LayerError if the reference's tag does not have the reference's digest."""
        actual = digest.of(self._blobs.manifest(reference.tagged), digest.algorithm)
        if actual != digest:
            raise LayerError(
                f"{reference}: the tag is at {actual} now",
                hint="leave the tag out to import by digest, or take the new digest",
            )

    def _member(
        self, reference: Reference, source: str, index: Index, chosen: Descriptor | None
    ) -> tuple[bytes, str]:
        """Return the manifest of `chosen`, else the wanted platform's, with its algorithm."""
        if chosen is None:
            chosen = index.member(self._chosen(source))
        raw = self._find(chosen.digest)
        if raw is None and source in self._given:
            given = self._given[source][1]
            raw = given if Digest.of(given, chosen.digest.algorithm) == chosen.digest else None
        if raw is None:
            raw = self._original(reference, source, chosen)
        return chosen.digest.check(raw, "the manifest"), chosen.digest.algorithm

    def _chosen(self, source: str) -> Digest:
        """Return the digest of the manifest that skopeo chooses for the wanted platform."""
        given = self._given.get(source)
        return given[0] if given is not None else self._blobs.platform_digest(source)

    def _known_platform(self, index: Index) -> Descriptor | None:
        """Return the index's only member that is here and for the wanted platform, or None."""
        members = [member for member in index.manifests if self._is_known_and_wanted(member)]
        return members[0] if len(members) == 1 else None

    def _is_known_and_wanted(self, member: Descriptor) -> bool:
        raw = self._find(member.digest)
        manifest = parse_manifest(raw, member.digest.algorithm) if raw else None
        if not isinstance(manifest, Manifest):
            return False
        config = self._find(manifest.config.digest)
        return config is not None and self._is_wanted(parse_config(config, manifest))

    def _is_wanted(self, config: ImageConfig) -> bool:
        wanted = self._skopeo
        return (
            config.architecture == (wanted.arch or go_arch(os.uname().machine))
            and config.os == (wanted.os or "linux")
            and config.variant == (wanted.variant or config.variant)
        )

    def _original(self, reference: Reference, source: str, chosen: Descriptor) -> bytes:
        """Return the chosen manifest as it was pushed; skopeo's proxy would convert it to OCI.

        A registry serves the manifest under its digest. In an OCI layout the manifest is a blob
        like any other. Of a dir:, skopeo reads only the member that it chooses from the index, so
        we open the file ourselves.
        """
        if reference.transport == "docker":
            return self._blobs.manifest(reference.pinned(chosen.digest))
        if reference.transport == "dir":
            # containers/image directory/directory_transport.go, manifestPath
            file = Path(reference.rest) / f"{chosen.digest.hex}.manifest.json"
            return read_file(file, MAX_DOCUMENT_SIZE)
        return self._blobs.read(source, chosen)

    def _config(self, source: str, manifest: Manifest) -> ImageConfig:
        raw = self._find(manifest.config.digest)
        return parse_config(raw or self._blobs.read(source, manifest.config), manifest)

    def _check_platform(self, manifest: Manifest, config: ImageConfig) -> None:
        """Raise ImporterError if the image is not for the --arch, --os or --variant given.

        An image without an index is for one platform. Without these options it is taken as it
        is, as podman does.
        """
        wanted = self._skopeo
        asked = {"arch": wanted.arch, "os": wanted.os, "variant": wanted.variant}
        has = {"arch": config.architecture, "os": config.os, "variant": config.variant}
        for option, value in asked.items():
            if value is not None and has[option] != value:
                raise ImporterError(
                    f"the image is for {option} {has[option]!r}, not {value!r}",
                    hint="it is not a multi-platform image",
                    digest=str(manifest.digest),
                )


def new_signatures(skopeo: Skopeo, blobs: Blobs) -> Signatures:
    # Its HTTP and YAML libraries take a good part of a short run to load.
    from importer.fetch.signatures import Signatures

    return Signatures(skopeo, blobs)
