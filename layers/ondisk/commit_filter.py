"""Apply `ostree commit`'s options to a file's owner and mode, and leave out skipped files.

Source: ostree's src/ostree/ot-builtin-commit.c, `commit_filter`, `handle_statoverride_line` and
`handle_skiplist_line`; src/libotutil/ot-fs-utils.c, `ot_parse_file_by_line`: a line for each path,
empty lines ignored, paths from the tree's root with a leading slash, nothing quoted;
src/libostree/ostree-repo-commit.c, `_ostree_repo_commit_modifier_apply`.
"""

from __future__ import annotations

import re
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# --canonical-permissions: neither setuid bits nor write permission for others than the owner.
_CANONICAL = 0o755
# ostree reads the mode with g_ascii_strtod: decimal, or hexadecimal behind 0x. What it would
# read as 0, or as another file type, is refused here.
_MODE = re.compile(rb"(=?)\+?(?:0[xX]([0-9a-fA-F]{1,8})|(\d{1,9}))")
_BITS = 0o7777
_NOTHING: Mapping[bytes, int] = MappingProxyType({})


class Bits(NamedTuple):
    """Permission bits (07777 at most), and who owns the file."""

    mode: int
    uid: int
    gid: int


@frozen
class StatOverride:
    """Permission bits by path: `adds` are added to a file's own, `sets` replace them."""

    adds: Mapping[bytes, int] = field(default_factory=lambda: _NOTHING)
    sets: Mapping[bytes, int] = field(default_factory=lambda: _NOTHING)


@frozen
class CommitOptions:
    """The options of `ostree commit` that change files; ids are None for the files' own."""

    owner_uid: int | None = None
    owner_gid: int | None = None
    canonical_permissions: bool = False
    no_xattrs: bool = False
    statoverride: StatOverride = field(default_factory=StatOverride)
    skip_list: frozenset[bytes] = frozenset()

    @property
    def keeps_xattrs(self) -> bool:
        """Return whether the files' own xattrs are committed: neither --no-xattrs nor
        --canonical-permissions is given."""
        return not (self.no_xattrs or self.canonical_permissions)


class CommitFilter:
    """Applies the options to one file after the other, over all trees of a commit.

    As in ostree, a path of the skip list or of an added mode counts for the first tree that
    has it, and an added mode has no effect on a directory below the root (ostree calls its
    filter twice there, and drops the first answer).
    """

    def __init__(self, options: CommitOptions) -> None:
        self._options = options
        self._adds = dict(options.statoverride.adds)
        self._sets = options.statoverride.sets
        self._unused_sets = set(self._sets)
        self._skip = set(options.skip_list)
        self.ineffective: list[bytes] = []
        # Whether any file may be changed or left out; else `apply` need not be called.
        self.does_anything = options != CommitOptions(no_xattrs=options.no_xattrs)

    def apply(self, path: bytes, bits: Bits, *, directory: bool = False) -> Bits | None:
        """Return the bits to commit, or None for a file to leave out.

        `path` begins with a slash at the tree's root.
        """
        options = self._options
        mode = self._mode(path, bits.mode, directory) if self._adds or self._sets else bits.mode
        if path in self._skip:
            self._skip.discard(path)
            return None
        if options.canonical_permissions:
            return Bits(mode & _CANONICAL, 0, 0)
        uid = bits.uid if options.owner_uid is None else options.owner_uid
        gid = bits.gid if options.owner_gid is None else options.owner_gid
        return Bits(mode, uid, gid)

    def _mode(self, path: bytes, mode: int, directory: bool) -> int:
        if path in self._adds:
            added = self._adds.pop(path)
            if not directory or path == b"/":
                return mode | added
            self.ineffective.append(path)
            # ostree filters a directory twice: the second call has no bits left to add, but
            # may still set the mode.
        if path in self._sets:
            self._unused_sets.discard(path)
            return self._sets[path]
        return mode

    def symlink(self, path: bytes, bits: Bits) -> Bits | None:
        """Return the bits of a symlink as `apply` does; its mode is 0777 on Linux and stays so.

        ostree would give it the mode of a statoverride, which nothing could check out.
        """
        if path in self._adds or path in self._sets:
            self.ineffective.append(path)
        applied = self.apply(path, bits)
        return applied and applied._replace(mode=0o777)

    @property
    def unmatched(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return the paths that no tree had: of added modes, the skip list, and modes to set.

        ostree refuses the first two, and passes over the third.
        """
        return sorted(self._adds), sorted(self._skip), sorted(self._unused_sets)


def parse_statoverride(raw: bytes) -> StatOverride:
    """Parse lines of `MODE PATH` (add these bits) and `=MODE PATH` (set them), MODE in decimal.

    Raise LayerError, with the line's number, for a line of another form.
    """
    adds: dict[bytes, int] = {}
    sets: dict[bytes, int] = {}
    for number, line in _lines(raw):
        mode, space, path = line.partition(b" ")
        match = _MODE.fullmatch(mode)
        if not space or match is None:
            raise LayerError(f"line {number} is not of the form [=]MODE PATH, MODE in decimal")
        bits = int(match[2], 16) if match[2] else int(match[3])
        if bits & ~_BITS:
            raise LayerError(f"line {number} has mode {bits}; 4095 (octal 7777) is the largest")
        (sets if match[1] else adds)[path] = bits
    return StatOverride(adds, sets)


def parse_skip_list(raw: bytes) -> frozenset[bytes]:
    """Parse a path on each line."""
    return frozenset(line for _, line in _lines(raw))


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(raw.split(b"\n"), 1) if line)
