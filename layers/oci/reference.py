"""The names of images as users write them: docker references, or any skopeo transport."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from layers.digest import Digest
from layers.errors import LayerError, within
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The grammar is that of github.com/distribution/reference, by which every container
# tool reads names; transports are those of containers/image's transports/alltransports.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = (
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_REPOSITORY = re.compile(rf"{_HOST}(?:/{_COMPONENT})+")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_MAX_REPOSITORY = 255 + 1 + 255  # a DNS name, then the 255 characters distribution allows

_SCHEME = re.compile(r"https?://")
_HINT = "write registry/name:TAG, registry/name@sha256:DIGEST, or TRANSPORT:... as skopeo does"

REGISTRIES = frozenset(["docker"])
TRANSPORTS = frozenset(
    [
        "containers-storage",
        "dir",
        "docker",
        "docker-archive",
        "docker-daemon",
        "oci",
        "oci-archive",
        "ostree",
        "sif",
        "tarball",
    ]
)


@frozen
class ImageName:
    """A qualified name, `registry/path[:tag][@digest]`. Without tag and digest it means
    `latest`."""

    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name. Raise LayerError if it is malformed or names no registry."""
        rest, at, digest = text.partition("@")
        if at and "/" in digest:
            raise LayerError(  # USER:PASSWORD@HOST/..., which is not to be shown
                f"not an image reference: {'***@' + text.rpartition('@')[2][:200]!r}",
                hint="credentials go into --creds-file or --authfile",
            )
        head, slash, last = rest.rpartition("/")
        final, colon, tag = last.partition(":")
        repository = head + slash + final
        _check_qualified(repository, text)
        if (colon and not _TAG.fullmatch(tag)) or (at and not digest):
            raise LayerError(f"not an image reference: {text[:200]!r}", hint=_HINT)
        with within(hint=_HINT):
            parsed = Digest.parse(digest) if at else None
        return cls(repository, tag or ("" if parsed else "latest"), parsed)

    def at(self, digest: Digest) -> ImageName:
        """Return the name of the same repository with this digest and no tag."""
        return ImageName(self.repository, "", digest)

    @property
    def registry(self) -> str:
        """Return the registry's host, with its port if it has one."""
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def _check_qualified(repository: str, text: str) -> None:
    if scheme := _SCHEME.match(text):
        raise LayerError(
            f"{text[:200]!r} is a URL, and no image reference",
            hint=f"write {text[scheme.end() :][:200]}" if text[scheme.end() :] else _HINT,
        )
    if text.startswith(("/", "./", "../", "~")):
        raise LayerError(
            f"{text[:200]!r} is a path, and no image reference",
            hint="write the transport in front: oci:DIR:TAG, dir:DIR, docker-archive:FILE,"
            " oci-archive:FILE",
        )
    host, slash, _ = repository.partition("/")
    path = repository if slash else f"library/{repository}"
    is_short = not slash or not ("." in host or ":" in host or host == "localhost")
    if is_short and _REPOSITORY.fullmatch(f"docker.io/{path}"):
        raise LayerError(
            f"{text[:200]!r} names no registry",
            hint=f"write it out, for example docker.io/{path[:200]}"
            + text[len(repository) :][:100],
        )
    if is_short or len(repository) > _MAX_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        raise LayerError(f"not an image reference: {text[:200]!r}", hint=_HINT)


@frozen
class Reference:
    """An image and where skopeo finds it: `transport:rest`."""

    transport: str
    rest: str
    name: ImageName | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference of the command line. `docker://` is implied without a transport."""
        transport, colon, rest = text.partition(":")
        if not colon or transport not in TRANSPORTS:
            return cls("docker", f"//{text}", ImageName.parse(text))
        if transport == "docker":
            if rest[:1] == "/" != rest[1:2]:
                raise LayerError(
                    f"not an image reference: {text[:200]!r}", hint=f"write docker:/{rest[:200]}"
                )
            return cls("docker", rest, ImageName.parse(rest.removeprefix("//")))
        if not rest.partition(":")[0]:  # skopeo would read the directory that it is run in
            raise LayerError(f"{text[:200]!r} names no image", hint=_HINT)
        return cls(transport, rest, _name_within(transport, rest))

    def pinned(self, digest: Digest) -> str:
        """Return the reference for skopeo, by digest where the transport has digests."""
        if self.transport == "docker" and self.name is not None:
            return f"docker://{self.name.at(digest)}"
        return self.source

    def by_digest(self, digest: Digest) -> str:
        """Return the reference as a user writes it, by digest where it names a registry. A
        reference that has a digest keeps its tag, too."""
        if self.transport == "docker" and self.name is not None and not self.name.digest:
            return str(self.name.at(digest))
        return str(self)

    @property
    def source(self) -> str:
        """Return the reference for skopeo: without the tag if there is a digest, since skopeo takes
        only one of them."""
        if self.transport == "docker" and self.name is not None and self.name.digest:
            return f"docker://{self.name.at(self.name.digest)}"
        if self.transport == "docker" and self.name is not None:
            return f"docker://{self.name}"
        return f"{self.transport}:{self.rest}"

    @property
    def tagged(self) -> str:
        """Return the reference for skopeo by its tag alone, "" if the user named no tag."""
        if self.transport != "docker" or self.name is None or not self.name.tag:
            return ""
        return f"docker://{self.name.repository}:{self.name.tag}"

    def __str__(self) -> str:
        if self.transport == "docker":
            return str(self.name)
        return f"{self.transport}:{self.rest}"


def registries(references: Iterable[Reference]) -> set[str]:
    """Return the registries that skopeo asks for these images."""
    return {ref.name.registry for ref in references if ref.transport == "docker" and ref.name}


def stored_reference(names: Sequence[str], unnamed: str) -> Reference:
    """Return the reference of an image in a store: the first of its sorted names that a registry
    could have, else `unnamed`, a reference as skopeo writes it."""
    for name in sorted(names):
        try:
            return Reference.parse(f"docker://{ImageName.parse(name)}")
        except LayerError:
            continue
    return Reference.parse(unnamed)


def _name_within(transport: str, rest: str) -> ImageName | None:
    """Return the image name that the transport's own syntax contains, or None."""
    if transport == "docker-archive":
        text = rest.partition(":")[2]
    elif transport == "containers-storage":
        text = rest.rpartition("]")[2]
    elif transport == "docker-daemon":
        text = rest
    else:
        return None
    try:
        return ImageName.parse(text)
    except LayerError:
        return None  # "@INDEX", an image id, or a short name: reached by id and digest
