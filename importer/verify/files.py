"""Check the files of a store outside of its layers' trees: none may be missing or be too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from importer.store.remove_layer import read_link
from layers.errors import Fault
from layers.storage.mounted import LOWER_LAYERS, MountedTree, blocker_of, lower_files
from layers.storage.records import big_data_file
from layers.storage.store_id import StoreForm, form_of, possible_ids, possible_links

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from importer.verify.owners import OwnerCheck
    from importer.verify.records import RecordCheck
    from layers.storage.layer_record import LayerRecord

# They are read before anything else, and missed then.
_RECORDS = {"layers.json", "images.json"}


@dataclass(slots=True)
class FileCheck:
    """Checks files after the records were read. `unverified` are layers that may lack a tar-split
    file.
    """

    repo: Repo
    store: StoreView
    records: RecordCheck
    findings: Findings
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

    def _link_of(self, layer_id: str) -> str:
        """Return the layer's name under `overlay/l`: what it has, if it may, else the usual."""
        known = self.records.standard_ids.get(layer_id, layer_id)
        usual, other = possible_links(layer_id, known)
        try:
            found = read_link(self.store.root, layer_id)
        except Fault:  # a damaged object, which `_content` reports
            return usual
        # The link of a layer with a wrong id, which RecordCheck reports, is unknown.
        is_wrong = layer_id not in possible_ids(known)
        return found if found == other or (found and is_wrong) else usual

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
        place = self.store.root.find(directory)
        files = {"link": tree.link.encode(), **lower_files(below)}
        if place is not None and LOWER_LAYERS.encode() not in place.leaves:
            files.pop(LOWER_LAYERS, None)  # podman before 6 writes none
        self._entries(directory, files, ["diff", *empty])
        for name, content in files.items():
            self._content(directory, name, content, tree.id)
        self._link(tree)

    def _empty(self, record: LayerRecord, lower: Sequence[MountedTree]) -> list[str]:
        """Return ["empty"] for a layer that has such a directory: what is mounted below it."""
        known = self.records.standard_ids.get(record.id, "")
        if lower or (form := form_of(record.id, known)) in (StoreForm.QUOTED, StoreForm.FLATTENED):
            return []
        present = self.store.root.find(f"overlay/{record.id}/empty")
        # A layer under its standard id may be of an older store, or podman's.
        return ["empty"] if form is StoreForm.NONE or present is not None else []

    def _mounted_below(self, record: LayerRecord) -> list[MountedTree]:
        """Return all that overlayfs mounts below this layer, nearest first."""
        found: list[MountedTree] = []
        for one in (record.id, *self._parents(record)):
            found.append(self._own(one))
            if one in self.records.blockers:
                found.append(blocker_of(one))
            if one in self.records.cut:
                break
        return found[1:]

    def _parents(self, record: LayerRecord) -> list[str]:
        """Return a layer's parents, nearest first, as far as there are records, and never in a
        circle.
        """
        found: list[str] = []
        layers: Mapping[str, LayerRecord] = self.records.layers
        while record.parent and record.parent not in found:
            found.append(record.parent)
            if record.parent not in layers:
                break
            record = layers[record.parent]
        return found

    def _content(self, directory: str, name: str, expected: bytes, layer_id: str) -> None:
        place = self.store.root.find(directory)
        try:
            content = place.read(name) if place else None
        except Fault as error:
            self.findings.add(error.message, path=f"{directory}/{name}")
            return
        if content is not None and content != expected:
            found, wanted = (one.decode(errors="replace")[:100] for one in (content, expected))
            self.findings.add(
                f"layer {layer_id[:12]}: says {found!r}, not {wanted!r}",
                path=f"{directory}/{name}",
            )

    def _link(self, tree: MountedTree) -> None:
        links = self.store.root.find("overlay/l")
        checksum = links.leaves.get(tree.link.encode()) if links else None
        try:
            found = self.repo.file(checksum).target if checksum else tree.target
        except Fault as error:
            self.findings.add(error.message, path=f"overlay/l/{tree.link}")
            return
        if found != tree.target:
            self.findings.add(
                f"layer {tree.id[:12]}: leads to {found!r}, not {tree.target!r}",
                path=f"overlay/l/{tree.link}",
            )

    def _entries(
        self,
        path: str,
        files: Iterable[str],
        directories: Iterable[str],
        complete: bool = True,
    ) -> None:
        """Check a directory for these files and directories; if `complete`, nothing else may be
        there.
        """
        place = self.store.root.find(path)
        if place is None:
            self.findings.add("the directory is missing", path=path)
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
            self.findings.add("belongs to no record", path=f"{path}/{name}")

    def _missing(self, path: str, names: set[str], others: set[str], otherwise: str) -> None:
        """Report names that are missing, or that are of the other kind."""
        for name in sorted(names):
            problem = otherwise if name in others else "is missing"
            self.findings.add(problem, path=f"{path}/{name}")
