"""Apply `ostree commit`'s options to a file's owner and mode, and leave out skipped files.

Source: ostree's src/ostree/ot-builtin-commit.c, `commit_filter`, and
src/libostree/ostree-repo-commit.c, `_ostree_repo_commit_modifier_apply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from layers.ondisk.path_lists import StatOverride

# --canonical-permissions: neither setuid bits nor write permission for others than the owner.
_CANONICAL = 0o755


class Bits(NamedTuple):
    """Permission bits (07777 at most), and who owns the file."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
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
        """Return the same for a symlink, whose mode is 0777 on Linux and stays so.

        ostree would give it the mode of a statoverride, which nothing could check out.
        """
        if path in self._adds or path in self._sets:
            self.ineffective.append(path)
        found = self.apply(path, bits)
        return found and found._replace(mode=0o777)

    @property
    def unmatched(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return the paths that no tree had: of added modes, the skip list, and modes to set.

        ostree refuses the first two, and passes over the third.
        """
        return sorted(self._adds), sorted(self._skip), sorted(self._unused_sets)
