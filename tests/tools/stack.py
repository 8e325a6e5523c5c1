"""Layers read and settled over each other in memory: what an import does, without a repo."""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from layers.entry import Kind, Owner
from layers.limits import DeviceNodes, Limits
from layers.tree.layer_reader import LayerReader
from layers.tree.lower import Lower
from layers.tree.translate import Settled, settle
from layers.whiteout import quoted, unquoted
from tests.tools.entry import Entry
from tests.tools.tarbuild import tar_bytes
from tests.tools.tarsplit import reassemble

PIECE = 1 << 16


@dataclass(frozen=True)
class Thing:
    """A stored file or symlink; `content` is a symlink's target."""

    kind: str
    owner: Owner
    content: bytes


#: Path: kind, mode, uid, gid, xattrs, and the content or target; of a whiteout only the kind.
Listing = dict[bytes, tuple[str, int, int, int, Mapping[bytes, bytes], bytes]]
WHITEOUT = ("whiteout", 0, 0, 0, dict[bytes, bytes](), b"")


@dataclass
class Store:
    """Objects by their checksums, dirmetas too."""

    things: dict[str, Thing] = field(default_factory=dict)
    metas: dict[str, Owner] = field(default_factory=dict)

    def put(self, thing: Thing) -> str:
        """Store it; its checksum."""
        checksum = hashlib.sha256(repr(thing).encode()).hexdigest()
        self.things[checksum] = thing
        return checksum

    def meta(self, owner: Owner | str) -> str:
        """The checksum of a directory's metadata."""
        if isinstance(owner, str):
            return owner
        checksum = "meta:" + hashlib.sha256(repr(owner).encode()).hexdigest()
        self.metas[checksum] = owner
        return checksum


class StoredDirectory:
    """A settled directory as a commit would have it; a `layers.tree.lower.TreeDirectory`."""

    def __init__(self, store: Store, settled: Settled) -> None:
        self._store = store
        self._settled = settled
        self.meta = store.meta(settled.meta)

    @cached_property
    def leaves(self) -> Mapping[bytes, str]:
        whiteouts = {quoted(name): "whiteout" for name in self._settled.whiteouts}
        return {n: leaf.checksum for n, leaf in self._settled.leaves.items()} | whiteouts

    @cached_property
    def directories(self) -> Mapping[bytes, "StoredDirectory"]:
        below = self._settled.directories.items()
        return {name: StoredDirectory(self._store, settled) for name, settled in below}


@dataclass(frozen=True)
class ReadLayer:
    """A layer after its import; `record` is its tar-split."""

    reader: LayerReader
    tree: StoredDirectory
    settled: Settled
    record: bytes
    tar: bytes


class Stack:
    """Layers, one on top of the other."""

    def __init__(self, device_nodes: str = "auto", limits: Limits | None = None) -> None:
        self.store = Store()
        self.layers: list[ReadLayer] = []
        self._lower: Lower | None = None
        self._device_nodes = DeviceNodes(device_nodes)
        self._limits = limits

    def add(self, source: bytes | Iterable[Entry], piece: int = PIECE) -> ReadLayer:
        """Read one more layer, its tar in pieces of so many bytes; LayerError if it is refused."""
        tar = source if isinstance(source, bytes) else tar_bytes(source)
        chunks = (tar[at : at + piece] for at in range(0, len(tar), piece))
        reader = LayerReader(chunks, self._device_nodes, self._limits)
        for leaf, entry in reader:
            file = entry.kind is Kind.FILE
            content = b"".join(reader.content()) if file else entry.link
            owner = entry.owner if file else entry.owner._replace(mode=0o777)
            leaf.checksum = self.store.put(Thing("file" if file else "symlink", owner, content))
        settled = settle(reader.tree, self.lower())
        tree = StoredDirectory(self.store, settled)
        record = reader.tar_split(lambda checksum: iter_once(self.store.things[checksum].content))
        self.layers.append(ReadLayer(reader, tree, settled, record, tar))
        self._lower = Lower(tree, self._lower)
        return self.layers[-1]

    def lower(self) -> Lower | None:
        """All layers so far, as those above see them."""
        return self._lower

    def top(self) -> Listing:
        """The last layer's own tree, without the root."""
        return dict(self._listed(self.layers[-1].tree))

    def merged(self) -> Listing:
        """What all layers show together, without the root."""
        lower = self.lower()
        return dict(self._merged(lower)) if lower else {}

    def exported(self, number: int) -> bytes:
        """The tar of a layer, made again from its record and the trees as podman would."""
        trees = [layer.tree for layer in reversed(self.layers[: number + 1])]

        def read(path: bytes) -> bytes:
            for tree in trees:
                thing = self._find(tree, path.split(b"/"))
                if thing is not None:
                    return thing.content
            raise AssertionError(f"the record wants {path!r}, which no tree has")

        return reassemble(self.layers[number].record, read)

    def _find(self, tree: StoredDirectory, names: Sequence[bytes]) -> Thing | None:
        for name in names[:-1]:
            if name not in tree.directories:
                return None
            tree = tree.directories[name]
        checksum = tree.leaves.get(names[-1])
        return self.store.things[checksum] if checksum else None

    def _listed(
        self, top: StoredDirectory
    ) -> Iterator[tuple[bytes, tuple[str, int, int, int, Mapping[bytes, bytes], bytes]]]:
        work: list[tuple[bytes, StoredDirectory]] = [(b"", top)]
        while work:
            prefix, tree = work.pop()
            for name, checksum in tree.leaves.items():
                hidden = unquoted(name)
                if hidden is None:
                    yield prefix + name, self._thing(checksum)
                else:
                    yield prefix + hidden, WHITEOUT
            for name, below in tree.directories.items():
                yield prefix + name, self._directory(below.meta)
                work.append((prefix + name + b"/", below))

    def _merged(
        self, top: Lower
    ) -> Iterator[tuple[bytes, tuple[str, int, int, int, Mapping[bytes, bytes], bytes]]]:
        work: list[tuple[bytes, Lower]] = [(b"", top)]
        while work:
            prefix, lower = work.pop()
            for name in lower.names:
                checksum, below = lower.leaf(name), lower.directory(name)
                if checksum is not None:
                    yield prefix + name, self._thing(checksum)
                if below is not None:
                    yield prefix + name, self._directory(below.meta)
                    work.append((prefix + name + b"/", below))

    def _thing(self, checksum: str) -> tuple[str, int, int, int, Mapping[bytes, bytes], bytes]:
        thing = self.store.things[checksum]
        owner = thing.owner
        return (
            thing.kind,
            owner.mode,
            owner.uid,
            owner.gid,
            dict(owner.xattrs),
            thing.content,
        )

    def _directory(self, meta: str) -> tuple[str, int, int, int, Mapping[bytes, bytes], bytes]:
        owner = self.store.metas[meta]
        return ("dir", owner.mode, owner.uid, owner.gid, dict(owner.xattrs), b"")


def iter_once(content: bytes) -> Generator[bytes]:
    """The content as a stream."""
    yield content


def listing(entries: Iterable[Entry]) -> Listing:
    """The listing that a definition's entries describe."""
    found: Listing = {}
    for entry in entries:
        folder, slash, name = entry.path.rpartition(b"/")
        if name.startswith(b".wh."):
            found[folder + slash + name.removeprefix(b".wh.")] = WHITEOUT
        else:
            content = entry.link if entry.kind == "symlink" else entry.content
            mode = 0o777 if entry.kind == "symlink" else entry.mode
            found[entry.path] = (
                entry.kind,
                mode,
                entry.uid,
                entry.gid,
                dict(entry.xattrs),
                content,
            )
    return found
