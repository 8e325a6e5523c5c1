"""The commands, started without waiting for Python to load them.

Half of the time of a short command is Python's start and its imports. So each pytest process has a
server that has loaded the program, and a run of a command is a fork of the server: with arguments,
environment, directory and outputs of its own, in a session of its own. Everything from the entry
point on is what a user runs.

Four things differ from the installed script. Modules are loaded before the run. All runs of one
server share a seed for the order of sets. At its end, Python does not free the modules. Worker
processes are forks, too (`forkedworker`). `IMPORT_IMAGE_SCRIPTS=1` in pytest's environment runs the
installed scripts everywhere; a test can ask for the script (`importimage.How`).
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, NoReturn

from tests.tools.forkedworker import fork_workers
from tests.tools.forking import fork_for

#: What the interpreter, libc or GLib read once, at their start.
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "G_", "GI_", "MALLOC", "SSL")


@dataclass(frozen=True)
class Request:
    """A run: a command of ours by its name, and the process that it gets."""

    command: str
    argv: Sequence[str]
    env: Mapping[str, str]
    directory: str
    umask: int

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """An unnamed file that holds the request as JSON."""
        with tempfile.TemporaryFile() as text:
            text.write(json.dumps(asdict(self)).encode())
            text.seek(0)
            yield text


def can_run(env: Mapping[str, str]) -> bool:
    """Whether a fork means the same as the script, with this environment."""
    scripts = os.environ.get("IMPORT_IMAGE_SCRIPTS")
    return not scripts and not any(name.startswith(AT_START) for name in env)


# --- the server's side ---


def serve(number: int) -> None:
    """Run commands for the client at the other end of this socket, until the client has gone."""
    _load()
    with socket.socket(fileno=number) as client:
        fork_for(client, _become)


def _load() -> None:
    """Import all modules of the program, and so the libraries that the program imports.

    A cluster's library is left out: it takes a second, and starts threads, which no fork keeps.
    """
    import importer

    for module in pkgutil.walk_packages(importer.__path__, "importer."):
        if "cluster" not in module.name:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the pages of all that is loaded


def _become(numbers: Sequence[int]) -> NoReturn:
    """Turn this fork into the command that was asked for."""
    text, stdout, stderr = numbers
    with os.fdopen(text, "rb") as file:
        request = Request(**json.load(file))
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, standard in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(number, standard)
        os.close(number)
    os.chdir(request.directory)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    tempfile.tempdir = None
    script = Path(sys.executable).with_name(request.command)
    sys.argv = [str(script), *request.argv]
    sys.path[0] = str(script.parent)
    fork_workers()
    main = importlib.import_module("importer.cli.main")
    _end(getattr(main, request.command.replace("-", "_")))


def _end(entry: Callable[[], None]) -> NoReturn:
    """Call the entry point, and end as Python does, but leave the loaded modules alone.

    Python frees the modules object by object. In a fork, each page that this touches is copied
    first, which takes longer than a short command.
    """
    status = 0
    try:
        entry()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        status = ended.code or 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# --- the client's side ---


def own_umask() -> int:
    """This process's umask, read without a moment in which it is another one (proc(5))."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)
