"""Check owners and modes of a store's files outside of its layers' trees.

An import gives all of them the same owner and modes. A merged store keeps the files of another
tool, so an owner or mode that the base commit has at the same path is no fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.repo.commit_keys import BASE
from importer.repo.labels import unlabelled
from importer.store.writer import DIRECTORY, FILE, LINK

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from layers.entry import Owner

_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class OwnerCheck:
    """Checks owners and modes.

    `base` is the base commit's store, None if there is none. With `is_base_gone`, the repo lacks
    the base commit or a part of it; then any owner may be one that the base has.
    """

    repo: Repo
    findings: Findings
    base: RepoDirectory | None
    is_base_gone: bool

    @classmethod
    def of(cls, repo: Repo, store: StoreView, findings: Findings) -> Self:
        """Make the check of a store."""
        checksum = store.commit.metadata.get(BASE)
        if checksum is None:
            return cls(repo, findings, None, False)
        is_checksum = isinstance(checksum, str) and _CHECKSUM.fullmatch(checksum)
        if not is_checksum or not repo.exists("commit", checksum):
            return cls(repo, findings, None, True)
        commit = repo.commit(checksum)
        base = None if commit.partial else repo.root(commit).find(store.prefix.strip("/"))
        return cls(repo, findings, base, commit.partial)

    def directory(self, path: str, place: RepoDirectory) -> None:
        """Check a directory at this path of the store."""
        try:
            owner = unlabelled(self.repo.dirmeta(place.meta))
            if owner != DIRECTORY and not self._is_kept(owner, self._base_directory(path)):
                self._blame(path, owner, DIRECTORY)
        except ImporterError as error:
            self.findings.add(error.message, path=path)

    def file(self, directory: str, place: RepoDirectory, name: str) -> None:
        """Check a file or symlink in a directory of the store."""
        path = f"{directory}/{name}"
        try:
            file = self.repo.file(place.leaves[name.encode()])
            owner, expected = unlabelled(file.owner), FILE if file.target is None else LINK
            if owner != expected and not self._is_kept(owner, self._base_file(path)):
                self._blame(path, owner, expected)
        except ImporterError as error:
            self.findings.add(error.message, path=path)

    def _is_kept(self, owner: Owner, before: Owner | None) -> bool:
        return self.is_base_gone or (before is not None and unlabelled(before) == owner)

    def _base_directory(self, path: str) -> Owner | None:
        place = self.base.find(path) if self.base else None
        return self.repo.dirmeta(place.meta) if place else None

    def _base_file(self, path: str) -> Owner | None:
        checksum = self.base.leaf(path) if self.base else None
        return self.repo.file(checksum).owner if checksum else None

    def _blame(self, path: str, owner: Owner, expected: Owner) -> None:
        if owner.mode != expected.mode:
            problem = f"its mode is {owner.mode:04o}; an import writes {expected.mode:04o}"
        elif owner[:3] != expected[:3]:
            problem = f"its owner is {owner.uid}:{owner.gid}; an import writes 0:0"
        else:
            problem = "it has xattrs; an import writes none"
        self.findings.add(problem, path=path)
