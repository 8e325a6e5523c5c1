"""The image stores that the configuration of podman, CRI-O and Quadlets names.

storage.conf has two readings. podman up to 5 and CRI-O up to 1.36 read one main file. Since
container-libs 1.63 the drop-ins follow, sorted by name: of one name in several directories the last
counts, and an array replaces what came before, unless `{append = true}` stands in it
(storage/pkg/configfile, `readDropIns`). CRI-O adds the options of its own files (pkg/config,
`UpdateFromDropInFile`). A store of any of these readings is a store here.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from importer.device.folder import DeviceError
from importer.device.toml import Value, settings

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
_ARGUMENTS = (
    "usr/share/containers/systemd",
    "etc/containers/systemd",
    "run/containers/systemd",
    "etc/sysconfig/crio",
)
# Of distributions, of osbuild and of bootc, whether or not a configuration names them.
USUAL_STORES = (
    "/usr/lib/containers/storage",
    "/usr/share/containers/storage",
    "/usr/lib/bootc/storage",
)
_MOST_BYTES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST_LINE = 1 << 14
# Directories in directories of Quadlets; symlinks may go round in circles.
_DEEPEST = 8
# The driver takes both keys (drivers/overlay, `parseOptions`).
_OPTION = re.compile(r"imagestore=(.*)", re.DOTALL)
# What systemd replaces in a unit's line, and the shell's reader of words here does not.
_REPLACED = re.compile(r"[\\%$]")


@dataclass(frozen=True)
class Configured:
    """Stores that a configuration names: each path, with the file that has it.

    `usual` stores may be absent; the others are needed by whoever reads the file. `doubts` has a
    line for each configuration that cannot be read.
    """

    named: Dict[str, str] = field(default_factory=dict)
    usual: Tuple[str, ...] = USUAL_STORES
    doubts: Tuple[str, ...] = ()

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Configured:
        """Take these stores, and no others."""
        return cls({str(path.absolute()): "the command line" for path in paths}, usual=())


@dataclass(frozen=True)
class StoreList:
    """The stores of a file of storage.conf; `appends`: behind those of the files before it."""

    stores: Tuple[str, ...]
    appends: bool


def configured_stores(system: Path = Path("/")) -> Configured:
    """Read all configurations of a system."""
    files = ConfigurationFiles(system)
    named: Dict[str, str] = {}
    for path in files.below(_CRIO):
        named.update(files.stores(path, crio_stores))
    for path in files.below(_ARGUMENTS):
        named.update(files.stores(path, argument_stores))
    main = [path for path in _MAIN if files.read(path) is not None][:1]
    named.update(files.effective(main))
    named.update(files.effective([*main, *files.drop_ins(_DROP_INS)]))
    if files.read(_ROOTS_OWN) is not None:
        drop_ins = files.drop_ins((*_DROP_INS, f"{_ROOTS_OWN}.d"))
        named.update(files.effective([_ROOTS_OWN, *drop_ins]))
    return Configured(named, doubts=tuple(dict.fromkeys(files.doubts)))


def storage_conf_lists(raw: bytes) -> List[StoreList]:
    """Return the lists of stores in a storage.conf or in a drop-in; valid TOML has one at most.

    The storage's own `imagestore`, a place for its images, counts as a store, too.
    """
    found = []
    for keys, value in settings(raw):
        key = keys[-1].lower()  # Go's reader takes capitals, too
        if key == "imagestore" and isinstance(value, str) and value:
            found.append(StoreList((_absolute(value),), appends=True))
        elif key == "additionalimagestores":
            if not isinstance(value, list):
                raise DeviceError("additionalimagestores is no array")
            texts = tuple(_absolute(one) for one in value if isinstance(one, str))
            tables = [one for one in value if isinstance(one, dict)]
            found.append(StoreList(texts, any(one.get("append") is True for one in tables)))
    return found


def crio_stores(raw: bytes) -> List[str]:
    """Return the stores of `storage_option` in crio.conf or in a drop-in."""
    options: List[Value] = []
    for keys, value in settings(raw):
        if keys[-1].lower() == "storage_option":
            options += value if isinstance(value, list) else [value]
    return [path for one in options if isinstance(one, str) for path in _option(one)]


def argument_stores(raw: bytes) -> List[str]:
    """Return the stores of `--storage-opt` in a Quadlet, or in CRI-O's environment."""
    try:
        text = re.sub(r"\\\r?\n", " ", raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise DeviceError("it is not UTF-8") from None
    found: List[str] = []
    for line in text.splitlines():
        if "imagestore=" in line and line.lstrip()[:1] not in {"#", ";"}:
            if len(line) > _LONGEST_LINE or _REPLACED.search(line):
                raise DeviceError("a store is named in a way that only systemd can read")
            found += [path for word in _words(line) for path in _option(word)]
    return found


def _words(line: str) -> List[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise DeviceError(f"the line that names a store: {error}") from None


def _option(text: str) -> List[str]:
    found = _OPTION.search(text)
    return [_absolute(one) for one in found.group(1).split(",")] if found else []


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise DeviceError(f"{ascii(path)[:80]} is no absolute path of a store")
    return path


class ConfigurationFiles:
    """A system's files of configuration. What cannot be read is told in `doubts`."""

    def __init__(self, system: Path) -> None:
        self._system = system
        self.doubts: List[str] = []

    def stores(self, path: str, parse: Callable[[bytes], List[str]]) -> Dict[str, str]:
        """Return the stores that a file names, each with the file."""
        with self._doubting(path):
            return dict.fromkeys(parse(self.read(path) or b""), f"/{path}")
        return {}

    def effective(self, reading: Iterable[str]) -> Dict[str, str]:
        """Return the stores of a main file and its drop-ins, read one after the other."""
        found: Dict[str, str] = {}
        for path in reading:
            with self._doubting(path):
                for one in storage_conf_lists(self.read(path) or b""):
                    found = found if one.appends else {}
                    found.update(dict.fromkeys(one.stores, f"/{path}"))
        return found

    def drop_ins(self, directories: Iterable[str]) -> List[str]:
        """Return the drop-ins in their order; podman passes over symlinks here."""
        found: Dict[str, str] = {}
        for directory in directories:
            for entry in self._entries(directory) or ():
                path = f"{directory}/{entry.name}"
                with self._doubting(path):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if entry.name.endswith(".conf") and stat.S_ISREG(mode):
                        found[entry.name] = path
        return [found[name] for name in sorted(found)]

    def below(self, paths: Iterable[str], depth: int = 0) -> Iterator[str]:
        """Yield those of the paths that are files, and all files in directories."""
        for path in paths:
            names = self._entries(path) if depth < _DEEPEST else None
            if names is None:
                yield path
            else:
                yield from self.below((f"{path}/{one.name}" for one in names), depth + 1)

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
        """Return what a directory has, None if it is none."""
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
