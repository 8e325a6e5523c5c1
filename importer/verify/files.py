"""Check the files of a store outside of its layers' trees: none may be missing or be too many, and
each has the owner and mode of an import.

A merged store keeps the files of another tool, so an owner or mode that the base commit has at the
same path is no fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from importer.cache.layer import record_name
from importer.repo.commit_keys import BASE
from importer.store.layers import read_link
from importer.store.writer import DIRECTORY, FILE, LINK
from layers.entry import unlabelled
from layers.errors import Fault
from layers.frozen import frozen
from layers.storage.holders import Holder
from layers.storage.image_record import big_data_file
from layers.storage.layer_id import StoreForm, form_of, possible_ids, possible_links
from layers.storage.mounted import MountedTree, blocker_of, lower_files, mounted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from importer.verify.records import RecordCheck
    from layers.entry import Owner
    from layers.storage.layer_record import LayerRecord

_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@frozen
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
        with self.findings.faults(path=path):
            owner = unlabelled(self.repo.dirmeta(place.meta))
            if owner != DIRECTORY:
                before = self.base.find(path) if self.base else None
                kept = self.repo.dirmeta(before.meta) if before else None
                self._blame(path, owner, DIRECTORY, kept)

    def file(self, directory: str, place: RepoDirectory, name: str) -> None:
        """Check a file or symlink in a directory of the store."""
        path = f"{directory}/{name}"
        with self.findings.faults(path=path):
            file = self.repo.file(place.leaves[name.encode()])
            owner, expected = unlabelled(file.owner), FILE if file.target is None else LINK
            if owner != expected:
                checksum = self.base.leaf(path) if self.base else None
                kept = self.repo.file(checksum).owner if checksum else None
                self._blame(path, owner, expected, kept)

    def _blame(self, path: str, owner: Owner, expected: Owner, kept: Owner | None) -> None:
        """Report an owner that is neither the expected one nor that in the base, `kept`."""
        if self.is_base_gone or (kept is not None and unlabelled(kept) == owner):
            return
        if owner.mode != expected.mode:
            problem = f"its mode is {owner.mode:04o}; an import writes {expected.mode:04o}"
        elif owner[:3] != expected[:3]:
            problem = f"its owner is {owner.uid}:{owner.gid}; an import writes 0:0"
        else:
            problem = "it has xattrs; an import writes none"
        self.findings.add(problem, path=path)


# RecordCheck reports these files if they are missing.
_RECORDS = {"layers.json", "images.json"}


@dataclass(slots=True)
class FileCheck:
    """Checks files after the records were read. `unverified` layers may lack a tar-split file."""

    repo: Repo
    records: RecordCheck
    unverified: frozenset[str]
    owners: OwnerCheck

    def run(self) -> None:
        """Check that each directory of the store has the entries that follow from the records."""
        layers = self.records.layers
        images = self.records.records
        trees = [*map(self._own, layers), *map(blocker_of, self.records.blockers)]
        splits = [record_name(i) for i in layers if i not in self.unverified]
        all_layers, all_images = self.records.all_layers, self.records.all_records
        self._entries("overlay", (), [*(tree.id for tree in trees), "l"], all_layers)
        self._entries("overlay/l", [tree.link for tree in trees], (), all_layers)
        self._entries("overlay-layers", ["layers.lock", *splits], (), all_layers)
        self._entries("overlay-images", ["images.lock"], images, all_images)
        for record in layers.values():
            self._layer(record)
        for image in images.values():
            files = [big_data_file(key) for key in image.big_data]
            self._entries(f"overlay-images/{image.id}", files, ())

    @property
    def _root(self) -> RepoDirectory:
        return self.records.store.root

    def _link_of(self, layer_id: str) -> str:
        """Return the layer's name under `overlay/l`: its own if that is a possible one, else the
        usual one."""
        standard_id = self.records.standard_ids.get(layer_id, layer_id)
        usual, other = possible_links(layer_id, standard_id)
        try:
            link = read_link(self._root, layer_id)
        except Fault:  # a damaged object, which `_content` reports
            return usual
        # The link of a layer with a wrong id, which RecordCheck reports, is unknown.
        is_wrong = layer_id not in possible_ids(standard_id)
        return link if link == other or (link and is_wrong) else usual

    def _own(self, layer_id: str) -> MountedTree:
        return MountedTree(layer_id, self._link_of(layer_id))

    def _layer(self, record: LayerRecord) -> None:
        below = self._mounted_below(record)
        self._tree(self._own(record.id), below, self._empty(record, below))
        if record.id in self.records.blockers:
            self._tree(blocker_of(record.id), (), ["empty"])

    def _tree(self, tree: MountedTree, below: Sequence[MountedTree], empty: Iterable[str]) -> None:
        """Check the directory of a layer or blocker, and its link."""
        directory = f"overlay/{tree.id}"
        place = self._root.find(directory)
        files = {"link": tree.link.encode(), **lower_files(below)}
        if place is not None and Holder.IDS.value.encode() not in place.leaves:
            files.pop(Holder.IDS.value, None)  # podman before 6 writes none
        self._entries(directory, files, ["diff", *empty])
        for name, content in files.items():
            self._content(directory, name, content, tree.id)
        self._link(tree)

    def _empty(self, record: LayerRecord, lower: Sequence[MountedTree]) -> list[str]:
        """Return ["empty"] for a layer that has such a directory, which is mounted below it."""
        form = form_of(record.id, self.records.standard_ids.get(record.id, ""))
        if lower or form in (StoreForm.QUOTED, StoreForm.FLATTENED):
            return []
        present = self._root.find(f"overlay/{record.id}/empty")
        # A layer under its standard id may be of an older store, or podman's.
        return ["empty"] if form is StoreForm.NONE or present is not None else []

    def _mounted_below(self, record: LayerRecord) -> list[MountedTree]:
        """Return the trees that overlayfs mounts below this layer's own, nearest first."""
        blockers = self.records.blockers
        trees = mounted(
            (record.id, *self._parents(record)),
            self._own,
            lambda layer_id: blocker_of(layer_id) if layer_id in blockers else None,
            self.records.cut.__contains__,
        )
        return trees[1:]

    def _parents(self, record: LayerRecord) -> list[str]:
        """Return a layer's parents, nearest first, as far as there are records, and never in a
        circle.
        """
        parents: list[str] = []
        layers: Mapping[str, LayerRecord] = self.records.layers
        while record.parent and record.parent not in parents:
            parents.append(record.parent)
            if record.parent not in layers:
                break
            record = layers[record.parent]
        return parents

    def _content(self, directory: str, name: str, expected: bytes, layer_id: str) -> None:
        path = f"{directory}/{name}"
        with self.records.findings.faults(path=path):
            content = self._root.read(path)
            if content is not None and content != expected:
                texts = (text.decode(errors="replace")[:100] for text in (content, expected))
                problem = "layer {}: says {!r}, not {!r}".format(layer_id[:12], *texts)
                self.records.findings.add(problem, path=path)

    def _link(self, tree: MountedTree) -> None:
        path = f"overlay/l/{tree.link}"
        checksum = self._root.leaf(path)
        with self.records.findings.faults(path=path):
            target = self.repo.file(checksum).target if checksum else tree.target
            if target != tree.target:
                problem = f"layer {tree.id[:12]}: leads to {target!r}, not {tree.target!r}"
                self.records.findings.add(problem, path=path)

    def _entries(
        self, path: str, files: Iterable[str], directories: Iterable[str], complete: bool = True
    ) -> None:
        """Check that a directory has these files and directories; if `complete`, only these."""
        place = self._root.find(path)
        if place is None:
            self.records.findings.add("the directory is missing", path=path)
            return
        self.owners.directory(path, place)
        files, directories = set(files), set(directories)
        leaves = {name.decode() for name in place.leaves}
        below = {name.decode() for name in place.directories}
        self._missing(path, files - leaves, below, "is a directory, not a file")
        self._missing(path, directories - below, leaves, "is not a directory")
        for name in sorted((files | _RECORDS) & leaves):
            self.owners.file(path, place, name)
        strays = (leaves | below) - files - directories - _RECORDS
        for name in sorted(strays if complete else ()):
            self.records.findings.add("belongs to no record", path=f"{path}/{name}")

    def _missing(self, path: str, names: set[str], others: set[str], otherwise: str) -> None:
        """Report names that are missing, or that are of the other kind."""
        for name in sorted(names):
            problem = otherwise if name in others else "is missing"
            self.records.findings.add(problem, path=f"{path}/{name}")
