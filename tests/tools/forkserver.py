"""The commands, started without waiting for Python to load them.

Half of the time of a short command is Python's start and its imports. So each pytest process has a
server that has loaded the program, and a run of a command is a fork of the server: with arguments,
environment, directory and outputs of its own, in a session of its own. Everything from the entry
point on is what a user runs.

Two things differ from the installed script: modules are loaded before the run, and all runs of one
server share a seed for the order of sets. `IMPORT_IMAGE_SCRIPTS=1` in pytest's environment runs the
installed scripts everywhere; a test can ask for the script (`importimage.How`).
"""

import gc
import importlib
import json
import os
import pkgutil
import select
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

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


def can_run(env: Mapping[str, str]) -> bool:
    """Whether a fork means the same as the script, with this environment."""
    scripts = os.environ.get("IMPORT_IMAGE_SCRIPTS")
    return not scripts and not any(name.startswith(AT_START) for name in env)


# --- the server's side ---


def serve(number: int) -> None:
    """Run commands for the client at the other end of this socket, until the client has gone."""
    _load()
    running: dict[int, tuple[int, socket.socket]] = {}
    with socket.socket(fileno=number) as client:
        events = select.poll()
        events.register(client, select.POLLIN)
        while True:
            for ready, _ in events.poll():
                if ready != client.fileno():
                    events.unregister(ready)
                    _report(ready, *running.pop(ready))
                elif not (started := _start(client, running)):
                    return
                else:
                    events.register(started, select.POLLIN)


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


def _start(client: socket.socket, running: dict[int, tuple[int, socket.socket]]) -> int:
    """Fork one command; return a descriptor that is readable when the command has ended, or 0."""
    data, numbers, _, _ = socket.recv_fds(client, 1, 4)
    if not data:
        return 0
    text, stdout, stderr, control = numbers
    with os.fdopen(text, "rb") as file:
        request = Request(**json.load(file))
    if not (pid := os.fork()):
        client.close()
        for pidfd, (_, other) in running.items():
            os.close(pidfd)
            other.close()
        os.close(control)
        _become(request, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    answers = socket.socket(fileno=control)
    answers.send(pid.to_bytes(8))
    pidfd = os.pidfd_open(pid)
    running[pidfd] = pid, answers
    return pidfd


def _become(request: Request, stdout: int, stderr: int) -> NoReturn:
    """Turn this fork into the command."""
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
    main = importlib.import_module("importer.cli.main")
    sys.exit(getattr(main, request.command.replace("-", "_"))())


def _report(pidfd: int, pid: int, answers: socket.socket) -> None:
    """Tell the client how a command ended."""
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with answers:
        answers.send(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))


# --- the client's side ---


def own_umask() -> int:
    """This process's umask, read without a moment in which it is another one (proc(5))."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)


def request(server: socket.socket, asked: Request, stdout: int, stderr: int) -> socket.socket:
    """Start a command. The socket that is returned gives the process id, then the exit status."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, tempfile.TemporaryFile() as text:
        text.write(json.dumps(asdict(asked)).encode())
        text.seek(0)
        socket.send_fds(server, [b"x"], [text.fileno(), stdout, stderr, theirs.fileno()])
    return ours
