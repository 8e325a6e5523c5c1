"""The image stores that the configuration of podman, CRI-O and Quadlets names.

storage.conf has two readings. podman up to 5 and CRI-O up to 1.36 read one main file. Since
container-libs 1.63 the drop-ins follow, sorted by name: of one name in several directories the last
counts, and an array replaces those before, unless `{append = true}` stands in it
(storage/pkg/configfile, `readDropIns`). CRI-O adds the options of its own files (pkg/config,
`UpdateFromDropInFile`). heal counts the stores of all readings; the doctor tells them apart.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from importer.device.folder import DeviceError
from importer.device.toml import settings

_MAIN = ("etc/containers/storage.conf", "usr/share/containers/storage.conf")
_DROP_INS = (
    "usr/share/containers/storage.conf.d",
    "usr/share/containers/storage.rootful.conf.d",
    "etc/containers/storage.conf.d",
    "etc/containers/storage.rootful.conf.d",
)
# Before all others where HOME is set, since container-libs 1.63.
_ROOTS_OWN = "root/.config/containers/storage.conf"
_CRIO = ("etc/crio/crio.conf", "etc/crio/crio.conf.d")
_QUADLETS = (
    "usr/share/containers/systemd",
    "etc/containers/systemd",
    "run/containers/systemd",
)
_CRIO_ARGUMENTS = ("etc/sysconfig/crio",)
# Who reads storage.conf without drop-ins, and with them.
OLDER, NEWER = "podman 5 and CRI-O up to 1.36", "podman 6 and later CRI-O"
# Of distributions, of osbuild and of bootc, whether or not a configuration names them.
BOOTC = "/usr/lib/bootc/storage"
USUAL_STORES = ("/usr/lib/containers/storage", "/usr/share/containers/storage", BOOTC)
_MOST_BYTES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST_LINE = 1 << 14
# Levels of directories of Quadlets: symlinks may lead in a circle.
_DEEPEST = 8
# The driver takes both keys (drivers/overlay, `parseOptions`).
_OPTION = re.compile(r"imagestore=(.*)", re.DOTALL)
# systemd replaces these in a unit's line; shlex does not.
_REPLACED = re.compile(r"[\\%$]")


@dataclass(frozen=True)
class Configured:
    """Stores that a configuration names: each path, with the file that has it.

    `usual` stores may be absent; a named one is needed by the program that reads the file.
    `doubts` has a line for each configuration that cannot be read. `readers` has the same stores
    and files by who reads them. `replaced` has stores of an earlier file, each with the drop-in
    whose list takes them away.
    """

    named: Dict[str, str] = field(default_factory=dict)
    usual: Tuple[str, ...] = USUAL_STORES
    doubts: Tuple[str, ...] = ()
    readers: Dict[str, Dict[str, str]] = field(default_factory=dict)
    replaced: Dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Configured:
        """Take the stores at `paths`, or all that the system configures if there are none."""
        named = {str(path.absolute()): "the command line" for path in paths}
        return cls(named, usual=()) if named else configured_stores()


def configured_stores(system: Path = Path("/")) -> Configured:
    """Read all configurations of a system."""
    files = ConfigurationFiles(system)
    main = [path for path in _MAIN if files.read(path) is not None][:1]
    readings = {OLDER: main, NEWER: [*main, *files.drop_ins(_DROP_INS)]}
    if files.read(_ROOTS_OWN) is not None:
        readings["podman 6 by root"] = [
            _ROOTS_OWN,
            *files.drop_ins((*_DROP_INS, f"{_ROOTS_OWN}.d")),
        ]
    readers = {
        "CRI-O by its options": files.stores(files.below(_CRIO), crio_stores),
        "Quadlets": files.stores(files.below(_QUADLETS), argument_stores),
        "CRI-O by its arguments": files.stores(files.below(_CRIO_ARGUMENTS), argument_stores),
    }
    for reader, paths in readings.items():
        readers[reader] = files.stores(paths, storage_conf_stores)
    named = {store: file for stores in readers.values() for store, file in stores.items()}
    lost = readers[OLDER].keys() - readers[NEWER].keys()
    replaced = {store: by for store, by in files.replaced.items() if store in lost}
    return Configured(
        named, doubts=tuple(dict.fromkeys(files.doubts)), readers=readers, replaced=replaced
    )


def storage_conf_stores(raw: bytes) -> Iterator[Optional[str]]:
    """Yield the stores in a storage.conf or in a drop-in; None before a list that replaces those of
    earlier files.

    The storage's own `imagestore`, a place for its images, counts as a store, too.
    """
    for keys, value in settings(raw):
        key = keys[-1].lower()  # Go's reader takes capitals, too
        if key == "imagestore" and isinstance(value, str) and value:
            yield _absolute(value)
        elif key == "additionalimagestores":
            if not isinstance(value, list):
                raise DeviceError("additionalimagestores is no array")
            tables = [item for item in value if isinstance(item, dict)]
            if not any(table.get("append") is True for table in tables):
                yield None
            yield from (_absolute(item) for item in value if isinstance(item, str))


def crio_stores(raw: bytes) -> Iterator[str]:
    """Yield the stores of `storage_option` in crio.conf or in a drop-in."""
    for keys, value in settings(raw):
        if keys[-1].lower() == "storage_option":
            options = value if isinstance(value, list) else [value]
            for option in options:
                yield from _option(option) if isinstance(option, str) else ()


def argument_stores(raw: bytes) -> Iterator[str]:
    """Yield the stores of `--storage-opt` in a Quadlet, or in CRI-O's environment."""
    try:
        text = re.sub(r"\\\r?\n", " ", raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise DeviceError("it is not UTF-8") from None
    for line in text.splitlines():
        if "imagestore=" in line and line.lstrip()[:1] not in {"#", ";"}:
            if len(line) > _LONGEST_LINE or _REPLACED.search(line):
                raise DeviceError("a store is named in a way that only systemd can read")
            for word in _words(line):
                yield from _option(word)


def _words(line: str) -> List[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise DeviceError(f"the line that names a store: {error}") from None


def _option(text: str) -> List[str]:
    match = _OPTION.search(text)
    return [_absolute(path) for path in match[1].split(",")] if match else []


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise DeviceError(f"{ascii(path)[:80]} is no absolute path of a store")
    return path


class ConfigurationFiles:
    """A system's files of configuration.

    `doubts` has a line for each that cannot be read. `replaced` has each store that a later file's
    list took away, and that file.
    """

    def __init__(self, system: Path) -> None:
        self._system = system
        self.doubts: List[str] = []
        self.replaced: Dict[str, str] = {}

    def stores(
        self, paths: Iterable[str], parse: Callable[[bytes], Iterable[Optional[str]]]
    ) -> Dict[str, str]:
        """Return the stores that files name, read one after the other, each with its file."""
        named: Dict[str, str] = {}
        for path in paths:
            with self._doubting(path):
                for store in list(parse(self.read(path) or b"")):
                    if store is None:
                        self.replaced.update(dict.fromkeys(named, f"/{path}"))
                        named = {}
                    else:
                        named[store] = f"/{path}"
        return named

    def drop_ins(self, directories: Iterable[str]) -> List[str]:
        """Return the drop-ins in their order; podman passes over symlinks here."""
        drop_ins: Dict[str, str] = {}
        for directory in directories:
            for entry in self._entries(directory) or ():
                path = f"{directory}/{entry.name}"
                with self._doubting(path):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if entry.name.endswith(".conf") and stat.S_ISREG(mode):
                        drop_ins[entry.name] = path
        return [drop_ins[name] for name in sorted(drop_ins)]

    def below(self, paths: Iterable[str], depth: int = 0) -> Iterator[str]:
        """Yield each path; in place of a directory, the files in it and below."""
        for path in paths:
            entries = self._entries(path) if depth < _DEEPEST else None
            if entries is None:
                yield path
            else:
                yield from self.below((f"{path}/{entry.name}" for entry in entries), depth + 1)

    def read(self, path: str) -> Optional[bytes]:
        """Return a file's content, None if it is absent. A file that cannot be read is empty."""
        with self._doubting(path):
            try:
                # Through symlinks, as podman does; not waiting for a pipe's writer.
                descriptor = os.open(self._system / path, _FLAGS)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise DeviceError("it is no regular file")
                data = file.read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise DeviceError(f"it has more than {_MOST_BYTES} bytes")
            return data
        return b""

    def _entries(self, directory: str) -> Optional[List[os.DirEntry[str]]]:
        """Return a directory's entries; None for a file, and for what is absent or unreadable."""
        with self._doubting(directory):
            try:
                with os.scandir(self._system / directory) as entries:
                    return sorted(entries, key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None

    @contextmanager
    def _doubting(self, path: str) -> Iterator[None]:
        try:
            yield
        except DeviceError as error:
            self.doubts.append(f"/{path}: {error}")
        except OSError as error:
            self.doubts.append(f"/{path}: {error.strerror}")
