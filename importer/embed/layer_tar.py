"""The tar of one OCI layer: files of a commit, and files written for this image; and how the tar
gets into a layout.

All times are zero, as in a deployment. A file that ostree stores once is in the tar once: a file
with the same content, owner and xattrs as an earlier one is a hard link to it. The headers are for
bootc's reader too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.progress import counted
from importer.repo.reachable import check_breadth
from importer.repo.values import RepoDirectory
from layers.chunks import Hashed
from layers.compress.compress import BlobCompression, compressed
from layers.entry import Entry, Kind, Owner, unlabelled
from layers.errors import printable
from layers.frozen import frozen
from layers.oci.derive import NewLayer
from layers.oci.manifest import Descriptor
from layers.path import Path, joined
from layers.tar.writer import END, fits_line, header, padding
from layers.tree.lower import each_directory
from layers.words import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.chunks import Chunks

# File systems limit the links of a file (ext4: 65,000). The one that the tar is unpacked on may
# allow fewer.
_MOST_LINKS = 1000


@frozen
class PackedFile:
    """A file or symlink that is not in the commit: its content, or its target."""

    owner: Owner
    content: bytes = b""
    target: bytes | None = None


# A directory of a commit with all that is in it, an object's checksum, or a new file.
type Source = RepoDirectory | str | PackedFile


@dataclass(slots=True)
class _Linked:
    path: bytes
    owner: Owner
    links: int = 1


class EmbeddedTar:
    """Writes one tar.

    `owner_of` returns the owner of a directory that is no member, but above one, without a label.
    `by_lines` writes headers for bootc's reader; see `layers.tar.writer.header`.
    Afterwards `xattrs` has the names of the members' xattrs, and `unusual` the paths whose xattrs
    no tar can hold for both bootc and podman.
    """

    def __init__(
        self, repo: Repo, owner_of: Callable[[Path], Owner], *, by_lines: bool = True
    ) -> None:
        self._by_lines = by_lines
        self._repo = repo
        self._owner_of = owner_of
        self._listed: set[Path] = set()
        self._linked: dict[str, _Linked] = {}
        self.xattrs: set[bytes] = set()
        self.unusual: list[bytes] = []

    def chunks(self, members: Mapping[Path, Source]) -> Chunks:
        """Yield the tar of these members and of the directories that lead to them."""
        for path, source in sorted(members.items(), key=lambda member: member[0]):
            yield from self._parents(path)
            match source:
                case RepoDirectory():
                    yield from self._directory(path, source)
                case str():
                    yield from self._stored(path, source)
                case PackedFile():
                    yield from self._new(path, source)
        yield END

    def _parents(self, path: Path) -> Iterable[bytes]:
        for end in range(1, len(path)):
            parent = path[:end]
            if parent not in self._listed:
                self._listed.add(parent)
                entry = Entry(joined(parent), Kind.DIRECTORY, self._owner_of(parent))
                yield header(entry, by_lines=self._by_lines)

    def _directory(self, top: Path, root: RepoDirectory) -> Chunks:
        check_breadth(root, printable(joined(top)))
        for path, directory in each_directory(root, top):
            owner = self._repo.dirmeta(directory.meta)
            yield self._header(Entry(joined(path), Kind.DIRECTORY, owner))
            for name, checksum in sorted(directory.leaves.items()):
                yield from self._stored((*path, name), checksum)

    def _stored(self, path: Path, checksum: str) -> Chunks:
        linked = self._linked.get(checksum)
        if linked is not None and linked.links < _MOST_LINKS:
            linked.links += 1
            yield self._header(Entry(joined(path), Kind.HARDLINK, linked.owner, link=linked.path))
            return
        file = self._repo.file(checksum)
        if file.target is not None:
            entry = Entry(joined(path), Kind.SYMLINK, file.owner, link=file.target.encode())
            yield self._header(entry)
            return
        yield self._header(Entry(joined(path), Kind.FILE, file.owner, file.size))
        if file.size:  # an empty file is not worth a link
            self._linked[checksum] = _Linked(joined(path), file.owner._replace(xattrs=()))
        yield from self._repo.intact(file)
        yield padding(file.size)

    def _new(self, path: Path, file: PackedFile) -> Iterable[bytes]:
        if file.target is not None:
            return [self._header(Entry(joined(path), Kind.SYMLINK, file.owner, link=file.target))]
        size = len(file.content)
        entry = Entry(joined(path), Kind.FILE, file.owner, size)
        return [self._header(entry), file.content, padding(size)]

    def _header(self, entry: Entry) -> bytes:
        """Return the entry's headers, without an SELinux label: bootc labels each file by the
        image's policy. Note its xattrs."""
        entry = entry._replace(owner=unlabelled(entry.owner))
        xattrs = entry.owner.xattrs
        self.xattrs.update(name for name, _ in xattrs)
        if not all(fits_line(*xattr) for xattr in xattrs):
            self.unusual.append(entry.path)
        return header(entry, by_lines=self._by_lines)


# composefs-rs, CONTAINER_XATTR_ALLOWLIST: the only xattr that it keeps, unless it is told to (bootc
# 1.16 does not).
_CAPABILITY = b"security.capability"


@frozen
class PlannedLayer:
    """A layer to write, and its members.

    `store_layers` are the ids of the store's layers in it, `images` the labels of their images.
    `created_by` is for its history entry, `name` for the progress. `size` is about the bytes of
    the tar.
    """

    members: Mapping[Path, Source]
    store_layers: tuple[str, ...]
    images: tuple[str, ...]
    created_by: str
    name: str
    size: int


@frozen
class WrittenLayer:
    """A layer in the layout. `tar_size` is in bytes. `xattrs` and `unusual` are `EmbeddedTar`'s."""

    planned: PlannedLayer
    layer: NewLayer
    tar_size: int
    xattrs: frozenset[bytes]
    unusual: tuple[bytes, ...]

    def document(self) -> dict[str, object]:
        return {
            "digest": self.layer.blob.digest,  # the blob's digest
            "diff_id": self.layer.diff_id,  # the uncompressed tar's digest
            "size": self.layer.blob.size,  # size of the blob
            "tar_size": self.tar_size,  # size of the uncompressed tar
            # the ids of the store's layers that are in it
            "store_layers": self.planned.store_layers,
            "images": self.planned.images,  # short names of their images
        }


def write_layer(
    planned: PlannedLayer,
    tar: EmbeddedTar,
    layout: Layout,
    compression: BlobCompression,
    progress: Progress,
) -> WrittenLayer:
    """Write a store's layer into the layout. Called from several threads."""
    with progress.blob(planned.name, planned.size) as advance:
        hashed = Hashed(counted(tar.chunks(planned.members), advance))
        layer = write_tar(hashed, planned.created_by, layout, compression)
    return WrittenLayer(planned, layer, hashed.size, frozenset(tar.xattrs), tuple(tar.unusual))


def write_tar(
    tar: Hashed, created_by: str, layout: Layout, compression: BlobCompression
) -> NewLayer:
    """Write a tar, compressed, into the layout."""
    digest, size = layout.add(compressed(iter(tar), compression))
    return NewLayer(Descriptor(compression.media_type, digest, size), tar.digest, created_by)


def tell_xattrs(written: Iterable[WrittenLayer], progress: Progress) -> None:
    """Report the images whose files have xattrs that not every reader of the new image keeps."""
    images: dict[bytes, set[str]] = {}
    for layer in written:
        users = layer.planned.images
        for name in layer.xattrs:
            images.setdefault(name, set()).update(users)
        if layer.unusual:
            progress.message(
                f"{first_of(users)}: an xattr has a newline, which bootc cannot read as podman"
                " does; bootc's ostree backend keeps it, podman and bootc's composefs backend do"
                f" not: {_paths(layer.unusual)}"
            )
    capable = images.pop(_CAPABILITY, set())
    if capable:
        progress.message(
            f"{', '.join(sorted(capable))}: files have capabilities, which bootc before 1.1.3 does"
            " not keep"
        )
    names: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(images):
        names.setdefault(tuple(sorted(images[name])), []).append(printable(name))
    for labels, lost in names.items():
        progress.message(
            f"{', '.join(labels)}: files have xattrs that bootc's composefs backend does not keep:"
            f" {first_of(lost)}"
        )


def _paths(unusual: tuple[bytes, ...]) -> str:
    """Return paths in the store as the images have them."""
    return first_of([printable(b"/" + path.partition(b"/diff/")[2]) for path in unusual])
