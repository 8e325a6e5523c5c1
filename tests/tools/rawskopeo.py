#!/usr/bin/python3
"""A skopeo whose proxy speaks protocol 0.2.8, made of the installed one's 0.2.6.

A program for the PATH: `install` puts it there. Each blob is fetched by a real proxy of its own,
so that a request is answered while other blobs are on their way, as by skopeo 1.22. What a
registry says, and when it breaks off, is as real as there.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

MOST = 1 << 20
#: What GetBlob checks and GetRawBlob does not.
UNCHECKED = ("bytes in blob", "corrupted blob")


def install(directory: Path) -> str:
    """Makes `directory` with a `skopeo` in it; a PATH that begins with it."""
    real = shutil.which("skopeo")
    directory.mkdir()
    program = directory / "skopeo"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {__file__} {real} "$@"\n')
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


class Real:
    """A running proxy of the installed skopeo."""

    def __init__(self, argv: list[str], at: int) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            own = [*argv[: at + 1], str(theirs.fileno()), *argv[at + 2 :]]
            inherited = [int(one.rpartition("/")[2]) for one in argv if "/proc/self/fd/" in one]
            self.process = subprocess.Popen(own, pass_fds=[theirs.fileno(), *inherited])

    def ask(self, method: str, *args: object) -> tuple[dict[str, Any], list[int]]:
        """An answer and its descriptors."""
        self._socket.send(json.dumps({"method": method, "args": args}).encode())
        data, descriptors, _, _ = socket.recv_fds(self._socket, MOST, 1)
        if not data:
            sys.exit(self.process.wait() or 1)
        return json.loads(data), descriptors

    def tell(self, method: str, *args: object) -> None:
        """A request whose answer is waited for later."""
        self._socket.send(json.dumps({"method": method, "args": args}).encode())

    def answer(self) -> dict[str, Any]:
        """The answer to what was told."""
        answer: dict[str, Any] = json.loads(self._socket.recv(MOST) or b'{"success": true}')
        return answer


class Stand:
    """Answers as 0.2.8 does."""

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self._at = argv.index("--sockfd")
        self._asker = socket.socket(fileno=int(argv[self._at + 1]))
        self._main = Real(argv, self._at)
        self._sources: dict[int, str] = {}

    def serve(self) -> None:
        """One request after the other, until the asker is gone."""
        while message := self._asker.recv(MOST):
            request = json.loads(message)
            method, args = request["method"], request["args"]
            if method == "GetRawBlob":
                answer, pipes = self._raw(*args)
            else:
                answer, pipes = self._main.ask(method, *args)
            if method == "Initialize":
                answer["value"] = "0.2.8"
            if method == "OpenImage" and answer["success"]:
                self._sources[answer["value"]] = args[0]
            answer["error_code"] = "" if answer["success"] else "other"
            socket.send_fds(self._asker, [json.dumps(answer).encode()], pipes)
            for pipe in pipes:
                os.close(pipe)

    def _raw(self, image: int, digest: str) -> tuple[dict[str, Any], list[int]]:
        own = Real(self._argv, self._at)
        own.ask("Initialize")
        opened, _ = own.ask("OpenImage", self._sources[image])
        if not opened["success"]:
            return opened, []
        answer, pipes = own.ask("GetBlob", opened["value"], digest, 0)
        if not answer["success"]:
            return answer, []
        own.tell("FinishPipe", answer["pipeid"])
        data, errors = os.pipe(), os.pipe()
        copying = (own, pipes[0], data[1], errors[1])
        threading.Thread(target=_copy, args=copying, daemon=True).start()
        return {**answer, "pipeid": 0}, [data[0], errors[0]]


def _copy(own: Real, source: int, data: int, errors: int) -> None:
    error = {}
    try:
        while piece := os.read(source, MOST):
            left = memoryview(piece)
            while left:
                left = left[os.write(data, left) :]
    except BrokenPipeError:
        error = {"code": "EPIPE", "message": "write |1: broken pipe"}
    os.close(source)
    answer = own.answer()
    if not error and not answer["success"] and not any(one in answer["error"] for one in UNCHECKED):
        error = {"code": "other", "message": answer["error"]}
    if error:
        os.write(errors, json.dumps(error).encode())
    os.close(data)
    os.close(errors)
    own.process.kill()
    own.process.wait()


def main(argv: list[str]) -> None:
    """Serves as a proxy; any other command is the installed skopeo's."""
    if "experimental-image-proxy" in argv:
        Stand(argv).serve()
    else:
        os.execv(argv[0], argv)  # noqa: S606 - that is its job


if __name__ == "__main__":
    main(sys.argv[1:])
