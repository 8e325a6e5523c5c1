"""One layer, from its blob to its branch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from importer.branches import layer_branch, record_branch
from importer.channel import ReadAhead
from importer.errors import ImporterError
from importer.objects import ObjectWriter
from importer.repo import Repo
from importer.stored import Commit
from layers.decompress import decompressed
from layers.errors import Fault, LayerError
from layers.layer import LayerReader
from layers.tree import DeviceNodes
from layers.verify import DiffID, drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.blobs import Blobs
    from importer.stored import RepoDirectory, StoredTree
    from importer.writers import Writers
    from layers.image import ImageLayer
    from layers.limits import Limits
    from layers.tree import LayerTree
    from layers.verify import Chunks

# What a layer commit's metadata is named by.
KEY = "import-image."
UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class LayerCommit:
    """A layer as its branches have it.

    `diff_size` is the size of the uncompressed tar in bytes; `record` the checksum of the
    tar-split file's object, None for a layer whose tar nobody has; `whiteouts` counts the
    quoted whiteouts in the tree, `opaque` the opaque markers in the tar; `devices` and
    `stray_devices` the device nodes that were left out, below /dev and elsewhere. Only what is
    `verified` is known to be the layer that its diffID names, and so are those below it.
    """

    commit: Commit
    record: str | None
    verified: bool
    diff_size: int
    whiteouts: int
    opaque: int
    devices: int
    stray_devices: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    labelled: RepoDirectory | None = None

    @property
    def tree(self) -> StoredTree:
        """The tree that goes into a store: the layer's own, or the same with SELinux labels."""
        return self.labelled or self.commit


@dataclass(frozen=True, slots=True)
class LayerOptions:
    """What a layer may contain."""

    device_nodes: DeviceNodes
    limits: Limits


def find_layer(repo: Repo, layer_id: str) -> LayerCommit | None:
    """The layer, if an earlier run has finished it: tree and record."""
    branch = layer_branch(layer_id)
    checksum = repo.resolve(branch)
    if checksum is None:
        return None
    commit = repo.commit(checksum)
    if commit.partial:
        raise ImporterError(
            f"{branch} was pulled in part only", hint="pull the whole of it, or delete the branch"
        )
    record = repo.resolve(record_branch(layer_id))
    verified = KEY + UNVERIFIED not in commit.metadata
    if record is None and verified:
        return None
    files = repo.root(repo.commit(record)).leaves if record else {}

    def count(name: str) -> int:
        return int(commit.metadata[KEY + name])

    return LayerCommit(
        commit,
        files.get(record_name(layer_id).encode()),
        verified,
        count("diff-size"),
        count("whiteouts"),
        count("opaque"),
        count("devices"),
        count("stray-devices"),
        _parsed(commit.metadata[KEY + "uids"]),
        _parsed(commit.metadata[KEY + "gids"]),
    )


def numbers(ids: set[int]) -> str:
    """User or group ids, as a layer commit's metadata lists them."""
    return ",".join(map(str, sorted(ids)))


def _parsed(numbers: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers.split(",") if number)


def record_name(layer_id: str) -> str:
    """The tar-split record's file name in overlay-layers."""
    return f"{layer_id}.tar-split.gz"


def check_devices(layer: ImageLayer, found: LayerCommit, device_nodes: DeviceNodes) -> None:
    """A layer that is here already may have been imported with more leave than now."""
    stray = device_nodes is DeviceNodes.AUTO and found.stray_devices
    if stray or (device_nodes is DeviceNodes.ERROR and (found.devices or found.stray_devices)):
        raise LayerError(
            f"the layer has {found.devices + found.stray_devices} device nodes, which were left"
            " out when it was imported",
            hint="--device-nodes=skip takes it so",
            digest=str(layer.blob.digest),
        )


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer whose files are stored: its tree, its tar's size in bytes, its tar-split record.

    `dropped_xattrs` counts those that are not in the tree. Without a record nobody could tell
    whether the tree is the one that the diffID names; it is `verified` if it is known to be,
    and so are those below it.
    """

    tree: LayerTree
    dropped_xattrs: int
    diff_size: int
    record: bytes | None
    verified: bool = True


def read_layer(
    repo: Repo,
    layer: ImageLayer,
    read: Callable[[], ReadLayer],
    found: Callable[[ReadLayer], None],
) -> None:
    """Store the layer's files, by `read`; they are durable at the end, but handed over before.

    The caller has the repo locked until the layer has its branches: see `LayerGroup`.
    """
    try:
        with repo.transaction():
            found(read())
    except Fault as error:
        raise error.within(digest=str(layer.blob.digest)) from None


def fetch_layer(
    repo: Repo,
    blobs: Blobs,
    source: str,
    layer: ImageLayer,
    options: LayerOptions,
    writers: Writers,
    found: Callable[[ReadLayer], None],
) -> int:
    """Store the files of a layer that is read out of its blob, as `read_layer` does, in as many
    attempts as the user allows; the bytes that the last one added to the repo."""

    def attempt() -> int:
        own = repo.again(writers)
        read_layer(own, layer, partial(_read_blob, own, blobs, source, layer, options), found)
        return own.written_bytes

    return blobs.retrying(attempt)


def _read_blob(
    repo: Repo, blobs: Blobs, source: str, layer: ImageLayer, options: LayerOptions
) -> ReadLayer:
    blob = blobs.stream(source, layer.available)
    try:
        tar = decompressed(blob, layer.available.media_type, layer.available_compression)
        return read_tar(repo, tar, layer, options)
    except LayerError:
        drain(blob)  # where the blob itself is broken, that is the error to tell
        raise
    finally:
        blob.close()


def read_tar(repo: Repo, chunks: Chunks, layer: ImageLayer, options: LayerOptions) -> ReadLayer:
    """Write the layer's files while its tar passes by, and check the diffID of it all."""
    tar = DiffID(chunks, layer.diff_id, options.limits.size)
    with ReadAhead(iter(tar)) as ahead, ObjectWriter(repo) as objects:
        reader = LayerReader(iter(ahead), options.device_nodes, options.limits)
        for leaf, entry in reader:
            objects.add(leaf, entry, reader)
    record = reader.tar_split(repo.content)
    return ReadLayer(reader.tree, reader.dropped_xattrs, tar.size, record)
