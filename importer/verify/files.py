"""Check the files of a store outside of its layers' trees: none may be missing or be too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from importer.store.layers import read_link
from layers.errors import Fault
from layers.storage.holders import Holder
from layers.storage.image_record import big_data_file
from layers.storage.layer_id import StoreForm, form_of, possible_ids, possible_links
from layers.storage.mounted import MountedTree, blocker_of, lower_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.verify.owners import OwnerCheck
    from importer.verify.records import RecordCheck
    from layers.storage.layer_record import LayerRecord

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
        all_layers, all_images = self.records.all_layers, self.records.all_records
        self._entries("overlay", (), [*(tree.id for tree in trees), "l"], all_layers)
        self._entries("overlay/l", [tree.link for tree in trees], (), all_layers)
        self._entries("overlay-layers", ["layers.lock", *self._splits()], (), all_layers)
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

    def _splits(self) -> list[str]:
        return [record_name(i) for i in self.records.layers if i not in self.unverified]

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
        trees: list[MountedTree] = []
        for layer_id in (record.id, *self._parents(record)):
            trees.append(self._own(layer_id))
            if layer_id in self.records.blockers:
                trees.append(blocker_of(layer_id))
            if layer_id in self.records.cut:
                break
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
        try:
            content = self._root.read(f"{directory}/{name}")
        except Fault as error:
            self.records.findings.add(error.message, path=f"{directory}/{name}")
            return
        if content is not None and content != expected:
            shown, wanted = (text.decode(errors="replace")[:100] for text in (content, expected))
            problem = f"layer {layer_id[:12]}: says {shown!r}, not {wanted!r}"
            self.records.findings.add(problem, path=f"{directory}/{name}")

    def _link(self, tree: MountedTree) -> None:
        checksum = self._root.leaf(f"overlay/l/{tree.link}")
        try:
            target = self.repo.file(checksum).target if checksum else tree.target
        except Fault as error:
            self.records.findings.add(error.message, path=f"overlay/l/{tree.link}")
            return
        if target != tree.target:
            problem = f"layer {tree.id[:12]}: leads to {target!r}, not {tree.target!r}"
            self.records.findings.add(problem, path=f"overlay/l/{tree.link}")

    def _entries(
        self,
        path: str,
        files: Iterable[str],
        directories: Iterable[str],
        complete: bool = True,
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
