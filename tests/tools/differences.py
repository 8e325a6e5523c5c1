"""Where umoci and podman read a layer otherwise than we do, on purpose.

Each difference is an equation that holds for us and not for the other tool: a rewriting of
the layers after which they mean the same to us, and to the tool what they mean to us. The
first of these is proved anew for each example. What is no such equation is an error, ours
or theirs. docs/semantics.md has the same list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from posixpath import normpath

from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.stack import Listing, Stack

Layers = list[list[Entry]]

FOREIGN_XATTRS = (b"user.overlay.", b"trusted.overlay.", b"security.selinux")
AUFS = b".wh..wh."
OPAQUE = b".wh..wh..opq"


@dataclass(frozen=True)
class Difference:
    """`tools` do not honour this equation, for this reason."""

    rewrite: Callable[[Layers], Layers]
    tools: tuple[str, ...]
    reason: str


def merged(layers: Layers) -> Listing:
    """What we make of the layers."""
    stack = Stack()
    for layer in layers:
        stack.add(layer)
    return stack.merged()


def clean(path: bytes) -> bytes:
    """One spelling for each path."""
    return normpath(b"/" + path).lstrip(b"/")


def is_marker(entry: Entry) -> bool:
    """Whether it deletes."""
    return clean(entry.path).rpartition(b"/")[2].startswith(b".wh.") and not is_aufs(entry)


def is_aufs(entry: Entry) -> bool:
    """Whether AUFS left it."""
    return any(n.startswith(AUFS) and n != OPAQUE for n in clean(entry.path).split(b"/"))


def is_gap(entry: Entry) -> bool:
    """Whether it is a whiteout as overlayfs writes it."""
    return entry.kind == "char" and entry.device == (0, 0) and not is_marker(entry)


def is_within(path: bytes, top: bytes) -> bool:
    """Whether it is `top`, or below."""
    return path == top or path.startswith(top + b"/")


def is_opaque(entry: Entry) -> bool:
    """Whether it empties a directory."""
    return clean(entry.path).rpartition(b"/")[2] == OPAQUE


def target(marker: Entry) -> bytes:
    """What a whiteout hides, or the directory that an opaque marker empties."""
    folder, _, name = clean(marker.path).rpartition(b"/")
    return folder if is_opaque(marker) else clean(folder + b"/" + name.removeprefix(b".wh."))


def without_comments(layers: Layers) -> Layers:
    return [[entry for entry in layer if entry.kind != "g"] for layer in layers]


def without_aufs(layers: Layers) -> Layers:
    return [[entry for entry in layer if not is_aufs(entry)] for layer in layers]


def without_foreign_xattrs(layers: Layers) -> Layers:
    def one(entry: Entry) -> Entry:
        kept = {n: v for n, v in entry.xattrs.items() if v and not n.startswith(FOREIGN_XATTRS)}
        return replace(entry, xattrs=kept)

    return [[one(entry) for entry in layer] for layer in layers]


def without_holes(layers: Layers) -> Layers:
    def one(entry: Entry) -> Entry:
        sparse = entry.sparse
        return replace(entry, sparse=None, content=sparse.expanded()) if sparse else entry

    return [[one(entry) for entry in layer] for layer in layers]


def links_as_copies(layers: Layers) -> Layers:
    made: Layers = []
    for layer in layers:
        below, now, copies = merged(made), dict[bytes, Entry](), list[Entry]()
        for entry in layer:
            one = entry
            if entry.kind == "hardlink" and not is_marker(entry) and not is_aufs(entry):
                target = clean(entry.link)
                source = now.get(target) or _entry(target, below[target])
                one = replace(source, path=entry.path)
            path = clean(entry.path)
            if one.kind != "dir":
                now = {other: e for other, e in now.items() if not is_within(other, path)}
            now[path] = one
            copies.append(one)
        made.append(copies)
    return made


def whiteouts_for_gaps(layers: Layers) -> Layers:
    made: Layers = []
    for number, layer in enumerate(layers):
        kept, gone = list[Entry](), list[Entry]()
        for entry in layer:
            if is_gap(entry):
                path = clean(entry.path)
                gone += [one for one in kept if is_within(clean(one.path), path)]
                kept = [one for one in kept if not is_within(clean(one.path), path)]
            kept.append(whiteout(clean(entry.path)) if is_gap(entry) else entry)
        # What made way for the gap has made the directories on the way to it.
        made.append(_unlisted_parents(gone, kept, merged(layers[: number + 1])) + kept)
    return made


def last_of_each_path(layers: Layers) -> Layers:
    return [_last_of_each_path(layer) for layer in layers]


def _last_of_each_path(layer: list[Entry]) -> list[Entry]:
    kept: list[Entry] = []
    taken: set[bytes] = set()  # by what is no directory
    directories: set[bytes] = set()
    for entry in reversed(layer):
        path = clean(entry.path)
        folders = [path[:at] for at, byte in enumerate(path) if byte == ord("/")]
        if taken.intersection([path, *folders]) or (entry.kind == "dir" and path in directories):
            continue
        if is_marker(entry):
            kept.append(entry)
        elif path in directories:
            kept.append(whiteout(path))  # a file, and then a directory in its place
            taken.add(path)
        elif path:
            (directories if entry.kind == "dir" else taken).add(path)
            kept.append(entry)
    return kept[::-1]


def all_parents_listed(layers: Layers) -> Layers:
    return [
        _unlisted_parents(layer, layer, merged(layers[: number + 1])) + layer
        for number, layer in enumerate(layers)
    ]


def _unlisted_parents(entries: list[Entry], layer: list[Entry], after: Listing) -> list[Entry]:
    """The directories on the way to the entries that the layer does not list, as they are
    after it."""
    wanted = {
        path[:at]
        for path in (clean(entry.path) for entry in entries)
        for at, byte in enumerate(path)
        if byte == ord("/")
    }
    missing = wanted - {clean(entry.path) for entry in layer}
    return [_entry(path, after[path]) for path in sorted(missing) if path in after]


def markers_and_parents_first(layers: Layers) -> Layers:
    def rank(entry: Entry) -> tuple[int, int, bool]:
        path = clean(entry.path)
        if is_marker(entry):
            return (0, path.count(b"/"), not path.endswith(OPAQUE))
        return (1, path.count(b"/"), False) if entry.kind == "dir" else (2, 0, False)

    return [sorted(layer, key=rank) for layer in layers]


def opaque_markers_for_recreated(layers: Layers) -> Layers:
    def one(entry: Entry, directories: set[bytes]) -> Entry:
        hidden = is_marker(entry) and target(entry)
        return opaque(hidden) if hidden and hidden in directories else entry

    made: Layers = []
    for layer in layers:
        directories = {clean(entry.path) for entry in layer if entry.kind == "dir"}
        made.append([one(entry, directories) for entry in layer])
    return made


def no_idle_markers(layers: Layers) -> Layers:
    made: Layers = []
    for layer in layers:
        below, hidden, kept = merged(made), set[bytes](), list[Entry]()
        for entry in layer:
            if is_marker(entry):
                path = target(entry)
                above = {path[:at] for at, byte in enumerate(path) if byte == ord("/")}
                is_idle = path not in below or (is_opaque(entry) and below[path][0] != "dir")
                if hidden & {b"", path, *above} or (path and is_idle):
                    continue
                hidden.add(path)
            kept.append(entry)
        made.append(kept)
    return made


def _entry(path: bytes, found: tuple[str, int, int, int, Mapping[bytes, bytes], bytes]) -> Entry:
    kind, mode, uid, gid, xattrs, content = found
    made = Entry(path, kind, mode=mode, uid=uid, gid=gid, xattrs=xattrs)
    return replace(made, link=content) if kind == "symlink" else replace(made, content=content)


BOTH = ("umoci", "podman")
DIFFERENCES = [
    Difference(
        without_comments,
        BOTH,
        "a global PAX header with a comment says nothing of files; umoci 0.4.7 fails at it, podman"
        " at two of them",
    ),
    Difference(
        without_aufs,
        BOTH,
        "AUFS's own entries mean nothing; both make the directories on the way to them",
    ),
    Difference(
        without_foreign_xattrs,
        BOTH,
        "overlayfs's own xattrs would change what a store means, labels are the host's, and an"
        " empty value is lost in a bare repo; both keep some of them",
    ),
    Difference(
        without_holes,
        BOTH,
        "a sparse file is a file; both fail at GNU's own type 'S'",
    ),
    Difference(
        links_as_copies,
        BOTH,
        "a hardlink to a file of a lower layer is a copy of it; podman never finds it, umoci not"
        " if this layer has deleted or replaced it, and neither has a link to itself",
    ),
    Difference(
        whiteouts_for_gaps,
        BOTH,
        "char 0:0 is how overlayfs writes a whiteout; umoci makes a device, podman fails at it"
        " where the layer has its path already",
    ),
    Difference(
        last_of_each_path,
        BOTH,
        "the last entry of a path wins; podman fails, umoci where the first could not be made",
    ),
    Difference(
        all_parents_listed,
        BOTH,
        "a directory that a layer does not list is the lower one, or a new one, 0755 root:root;"
        " podman makes all of them anew, umoci lets new ones inherit a setgid parent's group",
    ),
    Difference(
        markers_and_parents_first,
        BOTH,
        "markers hide lower layers, and a directory's entry is its metadata, wherever in the tar"
        " they stand; both go by the order",
    ),
    Difference(
        opaque_markers_for_recreated,
        ("podman",),
        "a whiteout beside a directory of its name empties that; in podman the lower content"
        " shines through",
    ),
    Difference(
        no_idle_markers,
        BOTH,
        "a whiteout of nothing is nothing; podman makes a broken entry of it, and umoci fails to"
        " look for it by way of a lower symlink to itself, though a directory takes its place",
    ),
]


def rewritten(layers: Layers, tool: str) -> Layers:
    """Layers that mean the same to us, and the same to the tool; AssertionError if not to us."""
    before = merged(layers)
    for difference in DIFFERENCES:
        if tool in difference.tools:
            layers = difference.rewrite(layers)
            assert merged(layers) == before, f"{difference.rewrite.__name__} is no equation"
    return layers
