"""Report what is wrong with a device's stores and its own storage, and change nothing."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from importer.device.configured import ConfigurationFiles, Configured
from importer.device.deletions import returned_files
from importer.device.folder import DeviceError, Folder, opened, printable
from importer.device.records import DeviceStores, opened_stores
from importer.device.treatment import called, treatment

# An overlayfs cannot be id-mapped; with this, containers-storage does not try (1.46 and later).
_NO_IDMAP = "_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes"
_UNITS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
_CONTAINERS_CONF = ("etc/containers/containers.conf", "usr/share/containers/containers.conf")
# Each program's executable, and the files that set its environment.
_ENVIRONMENTS: Dict[str, Tuple[str, ...]] = {
    "podman": (
        "usr/bin/podman",
        *(f"{conf}{end}" for conf in _CONTAINERS_CONF for end in ("", ".d")),
    ),
    "CRI-O": (
        "usr/bin/crio",
        "etc/sysconfig/crio",
        *(f"{units}/crio.service{end}" for units in _UNITS for end in ("", ".d")),
    ),
}
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Symptom:
    """Something wrong: its `kind` for programs, the path it is about, and what to do."""

    kind: str
    where: str
    problem: str
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """All that is wrong, and the stores that were looked at."""

    stores: Tuple[str, ...]
    symptoms: Tuple[Symptom, ...]

    @property
    def is_well(self) -> bool:
        return not self.symptoms

    def lines(self) -> List[str]:
        """Return what to tell people, a line each."""
        lines = [f"{each.where}: {each.problem}; {each.advice}" for each in self.symptoms]
        stores = ", ".join(self.stores) or "no store"
        return [printable(line) for line in lines or [f"nothing is wrong ({stores})"]]

    def document(self) -> Dict[str, object]:
        return {"stores": list(self.stores), "symptoms": [asdict(each) for each in self.symptoms]}


def diagnosis(root: Path, configured: Configured, system: Path = Path("/")) -> Diagnosis:
    """Look at the storage at `root`, and at the stores. Other programs may be at work meanwhile."""
    with ExitStack() as held:
        stores = opened_stores(configured, held, system)
        symptoms = [_unreadable("configuration", doubt) for doubt in stores.doubts]
        for store in stores.folders:
            symptoms += _checked(str(store.path), _returned(store))
        symptoms += _checked("configuration", _user_namespaces(stores.folders, system))
        symptoms += _checked(str(root), _broken(root, stores, held))
        return Diagnosis(tuple(str(store.path) for store in stores.folders), tuple(symptoms))


def _unreadable(where: str, problem: str) -> Symptom:
    return Symptom("unreadable", where, problem, "see to it")


def _checked(where: str, check: Iterator[Symptom]) -> Iterator[Symptom]:
    """Yield the symptoms that a check finds; a check that fails is a symptom, too."""
    try:
        yield from check
    except DeviceError as error:
        yield _unreadable(where, str(error))


def _returned(store: Folder) -> Iterator[Symptom]:
    for image, path in returned_files(store):
        yield Symptom(
            "deleted-files",
            str(store.path),
            f"containers of {called(image)} see files that the image deletes, such as /{path}",
            "take the overlay above the store away (`systemd-sysext unmerge`), or use a store with"
            " --whiteouts=none",
        )


def _user_namespaces(stores: Sequence[Folder], system: Path) -> Iterator[Symptom]:
    """Yield a symptom for each program that would id-map a store on an overlayfs."""
    overlays = [str(store.path) for store in stores if _is_on_overlayfs(store)]
    files = ConfigurationFiles(system)
    for program, paths in _ENVIRONMENTS.items() if overlays else ():
        present = _lies(system / paths[0])
        if present and not any(_sets(files.read(path) or b"") for path in files.below(paths[1:])):
            yield Symptom(
                "user-namespaces",
                ", ".join(overlays),
                f"the store is on an overlayfs, and {program} cannot start a container with a user"
                " namespace over it",
                f"set {_NO_IDMAP} in the environment of {program}",
            )
    for doubt in dict.fromkeys(files.doubts):
        yield _unreadable("configuration", doubt)


def _lies(program: Path) -> bool:
    try:
        program.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DeviceError(f"{program}: {error.strerror}") from None
    return True


def _sets(raw: bytes) -> bool:
    """Return whether a line that is no comment sets the variable."""
    lines = (line.strip() for line in raw.split(b"\n"))
    return any(_NO_IDMAP.encode() in line and line[:1] not in {b"#", b";"} for line in lines)


def _is_on_overlayfs(store: Folder) -> bool:
    """Look the mount of a store up by its device number, proc(5)."""
    status = store.status("overlay")
    if status is None:
        return False
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    lines = (line.partition(" - ") for line in _MOUNTS.read_text(errors="replace").splitlines())
    kinds = (kind.split(" ")[0] for mount, _, kind in lines if mount.split(" ")[2] == device)
    return next(kinds, "") == "overlay"


def _broken(root: Path, stores: DeviceStores, held: ExitStack) -> Iterator[Symptom]:
    storage = opened(root, held)
    for broken in treatment(storage, stores).broken if storage else ():
        yield Symptom(
            "broken-image",
            str(root),
            f"no store has layer {broken.missing[:12]} of {called(broken.image)}",
            "run heal",
        )
