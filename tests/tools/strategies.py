"""Random layer stacks, made of everything that docs/semantics.md has a rule for.

Few names and short paths, so that entries meet: what one layer makes, the next deletes,
replaces, links to and re-creates.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from tests.tools.entry import Entry, Sparse, opaque, whiteout

Layers = list[list[Entry]]

# Hypothesis has no weights; what stands here more often is drawn more often.
NAMES = [b"a", b"b", b"c"] * 9 + [b".wh", b"...", b"wh.a", b"\xc3\xa9", b"a b", b"\\", b"x" * 120]
MODES = [0o644, 0o755, 0o600, 0o4755, 0o2750, 0o1777, 0o000]
IDS = [0, 0, 1, 65536, 2**32 - 2]
NO_XATTRS: dict[bytes, bytes] = {}
XATTRS = [
    *[NO_XATTRS] * 4,
    {b"user.a": b"1"},
    {b"user.a": b"2", b"user.b": b"\x00\xff"},
    {b"trusted.c": b"v=w\n", b"user.empty": b""},
    {b"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")},
    {b"user.overlay.opaque": b"y", b"security.selinux": b"a:b:c:s0\x00"},
]
KINDS = (
    ["file"] * 8 + ["dir"] * 8 + ["symlink"] * 3 + ["hardlink"] * 4 + ["whiteout"] * 6
    + ["opaque"] * 3 + ["aufs", "sparse", "root", "comment", "device", "odd whiteout", "gap"]
)  # fmt: skip
AUFS = [b".wh..wh.aufs", b".wh..wh.plnk", b"a/.wh..wh.orph"]

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
owners = st.tuples(
    st.sampled_from(MODES), st.sampled_from(IDS), st.sampled_from(IDS), st.sampled_from(XATTRS)
)
numbers = st.sampled_from(["pax", "pax", "gnu", "base256"])
spellings = st.integers(0, 20)


def spelled(path: bytes, how: int) -> bytes:
    """The same path, written otherwise; most of the time as it is."""
    spellings = {
        1: b"./" + path,
        2: b"/" + path,
        3: path.replace(b"/", b"//"),
        4: path.replace(b"/", b"/./"),
        5: b"a/../" + path,
        6: b"./" + path.replace(b"/", b"/c/../"),
    }
    return spellings.get(how, path)


def owned(draw: st.DrawFn, path: bytes, kind: str) -> Entry:
    """A file or directory with an owner."""
    mode, uid, gid, xattrs = draw(owners)
    style = draw(numbers)
    entry = Entry(path, kind, mode, uid, gid, xattrs=xattrs, base256=style == "base256")
    return replace(entry, format="pax" if style == "pax" else "gnu")


def link(draw: st.DrawFn, path: bytes, targets: Sequence[bytes]) -> Entry:
    """A hardlink, mostly to something that is there."""
    known = bool(targets) and draw(st.integers(0, 5)) > 0
    target = draw(st.sampled_from(targets) if known else paths)
    return Entry(path, "hardlink", mode=0o4711, uid=7, link=spelled(target, draw(spellings)))


def symlink(draw: st.DrawFn, path: bytes) -> Entry:
    """A symlink, relative, absolute, or to somewhere outside."""
    prefix = draw(st.sampled_from([b"", b"/", b"../../../"]))
    return Entry(path, "symlink", mode=0o777, uid=draw(st.sampled_from(IDS)), link=prefix + b"a/b")


def odd_whiteout(draw: st.DrawFn, path: bytes) -> Entry:
    """One with what a whiteout does not need."""
    how = draw(st.sampled_from(["content", "symlink", "hardlink", "char"]))
    plain = whiteout(path)
    changes: dict[str, dict[str, object]] = {
        "content": {"content": b"content", "mode": 0o4777, "uid": 9},
        "symlink": {"kind": "symlink", "link": b"a"},
        "hardlink": {"kind": "hardlink", "link": b".wh..wh.aufs"},
        "char": {"kind": "char"},
    }
    return replace(plain, **changes[how])  # type: ignore[arg-type]


MAKERS: dict[str, Callable[[st.DrawFn, bytes], Entry]] = {
    "file": lambda draw, path: owned(draw, path, "file"),
    "dir": lambda draw, path: owned(draw, path, "dir"),
    "symlink": symlink,
    "whiteout": lambda _, path: whiteout(path),
    "opaque": lambda _, path: opaque(path),
    "gap": lambda _, path: Entry(path, "char", device=(0, 0)),
    "odd whiteout": odd_whiteout,
    "aufs": lambda draw, _: Entry(draw(st.sampled_from(AUFS)), content=b"aufs"),
    "sparse": lambda draw, path: Entry(
        path,
        sparse=Sparse(
            draw(st.sampled_from(["gnu", "0.0", "0.1", "1.0"])), 4096, ((1024, b"x" * 512),)
        ),
    ),
    "root": lambda draw, _: Entry(
        draw(st.sampled_from([b"./", b"/"])), "dir", mode=0o711, uid=5, xattrs={b"user.r": b"1"}
    ),
    "comment": lambda *_: Entry(b"g", "g", content=b"20 comment=a2345678\n", format="ustar"),
    "device": lambda draw, path: Entry(
        b"dev/" + path.rpartition(b"/")[2],
        draw(st.sampled_from(["char", "block", "fifo"])),
        device=(1, 3),
    ),
}


@st.composite
def stacks(draw: st.DrawFn, layers: int = 4, entries: int = 8) -> Layers:
    """Base first. Each file has a content of its own, so that none is taken for another."""
    stack: Layers = []
    targets: list[bytes] = []
    for number in range(draw(st.integers(1, layers))):
        layer: list[Entry] = []
        for index, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=entries))):
            path = spelled(draw(paths), draw(spellings))
            entry = link(draw, path, targets) if kind == "hardlink" else MAKERS[kind](draw, path)
            if kind == "file":
                entry = replace(entry, content=b"%d.%d\n" % (number, index))
            if kind in ("file", "symlink", "hardlink"):
                targets.append(entry.path)
            layer.append(entry)
        stack.append(layer)
    return stack
