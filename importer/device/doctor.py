"""Report what is wrong with a device's stores and its own storage, and change nothing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from importer.device.configured import Configured
from importer.device.folder import Folder, opened, printable
from importer.device.records import DeviceStores, opened_stores
from importer.device.symptoms import (
    Symptom,
    checked,
    damaged,
    labels,
    replaced,
    returned,
    too_deep,
    unlisted,
    unreadable,
    user_namespaces,
)
from importer.device.treatment import treatment


@dataclass(frozen=True)
class StoreReader:
    """A program that reads a store."""

    program: str  # the program, and its versions
    file: str  # the file of configuration that names the store


@dataclass(frozen=True)
class ReadStore:
    """A store that was looked at."""

    path: str  # its directory
    read_by: Tuple[StoreReader, ...]  # [StoreReader]: a list of the programs that read it

    def line(self) -> str:
        programs: Dict[str, List[str]] = {}
        for reader in self.read_by:
            programs.setdefault(reader.file, []).append(reader.program)
        named = "; ".join(f"{', '.join(programs[file])} by {file}" for file in programs)
        return f"store {self.path}{f': read by {named}' if named else ''}"


@dataclass(frozen=True)
class Diagnosis:
    """All that is wrong, and the stores that were looked at."""

    stores: Tuple[ReadStore, ...]
    symptoms: Tuple[Symptom, ...]

    @property
    def is_well(self) -> bool:
        return not self.symptoms

    def lines(self) -> List[str]:
        """Return what to tell people, a line each."""
        lines = [f"{each.where}: {each.problem}; {each.advice}" for each in self.symptoms]
        stores = [store.line() for store in self.stores] or ["no additional image store"]
        return [printable(line) for line in (*stores, *(lines or ["nothing is wrong"]))]

    def document(self) -> Dict[str, object]:
        return {
            # [ReadStore]: a list of the stores that can be read
            "stores": [asdict(store) for store in self.stores],
            # [Symptom]: a list of all that is wrong
            "symptoms": [asdict(each) for each in self.symptoms],
        }


def diagnosis(root: Path, configured: Configured, system: Path = Path("/")) -> Diagnosis:
    """Look at the storage at `root`, and at the stores. Other programs may be at work meanwhile."""
    with ExitStack() as held:
        stores = opened_stores(configured, held, system)
        read = [(store, _read_store(store, configured, system)) for store in stores.folders]
        symptoms = [unreadable("configuration", doubt) for doubt in stores.doubts]
        symptoms += replaced(configured)
        for store, seen in read:
            for check in (
                unlisted(store, bool(seen.read_by), configured),
                damaged(store, stores),
                returned(store),
                too_deep(store),
                labels(store, system),
            ):
                symptoms += checked(str(store.path), check)
        symptoms += checked("configuration", user_namespaces(stores.folders, system))
        symptoms += checked(str(root), _broken(root, stores, held))
        return Diagnosis(tuple(seen for _, seen in read), tuple(symptoms))


def _read_store(store: Folder, configured: Configured, system: Path) -> ReadStore:
    """Return the store with all that name its directory, perhaps by another path."""
    read_by = (
        StoreReader(program, file)
        for program, files in configured.readers.items()
        for path, file in files.items()
        if _is(system / path.lstrip("/"), store)
    )
    return ReadStore(str(store.path), tuple(read_by))


def _is(path: Path, store: Folder) -> bool:
    here = store.status(".")
    try:
        there = path.stat()
    except OSError:  # told by `opened_stores`
        return False
    return here is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _broken(root: Path, stores: DeviceStores, held: ExitStack) -> Iterator[Symptom]:
    storage = opened(root, held)
    if storage is None:
        return
    proposed = treatment(storage, stores)
    for broken in proposed.broken:
        yield Symptom(
            "broken-image",
            str(root),
            f"no store has layer {broken.missing[:12]} of {broken.image.label}",
            "run heal",
        )
    for container in proposed.stuck:
        yield Symptom(
            "stuck-container",
            str(root),
            f"container {container[:12]} cannot start: layers of its image are gone",
            "make it again after `podman rm` or `crictl rm`",
        )
