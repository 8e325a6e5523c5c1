"""A real Docker daemon with storage of its own, started by the test."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tools import patience
from tests.tools.lacking import need
from tests.tools.process import Argument, run

#: What a container's tree has beside its image's: Docker mounts over these.
OF_A_CONTAINER = (
    *(".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm"),
    *("etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"),
)

# A daemon that hangs answers never, however long one waits; a busy machine takes a few seconds.
_ANSWER_SECONDS = 120
_END_SECONDS = 60


class Docker:
    """A running daemon; made by `dockerd`."""

    def __init__(self, data_root: Path, socket: Path) -> None:
        self.data_root = data_root
        self.host = f"unix://{socket}"

    def __call__(self, *arguments: Argument) -> str:
        """Runs `docker ...`; returns its output."""
        return run(["docker", f"--host={self.host}", *arguments])

    def ctr(self, *arguments: Argument) -> str:
        """Runs `ctr ...` on the daemon's containerd, in the namespace of Kubernetes; its output."""
        socket = Path(self.host.removeprefix("unix://")).parent / "exec/containerd/containerd.sock"
        return run(["ctr", f"--address={socket}", "--namespace=k8s.io", *arguments])

    def load(self, source: str, name: str) -> None:
        """Loads an image, as skopeo writes its source, under a name."""
        run(
            [
                *("skopeo", "--insecure-policy", "copy", "--quiet"),
                f"--dest-daemon-host={self.host}",
                source,
                f"docker-daemon:{name}",
            ]
        )

    def images(self) -> dict[str, str]:
        """The ids of the images, by their names."""
        listed = self("images", "--all", "--no-trunc", "--format={{json .}}").splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in listed]
        return {f"{one['Repository']}:{one['Tag']}": one["ID"] for one in found}

    def export(self, image: str, where: Path) -> Path:
        """The tree of a container made from the image, unpacked by GNU tar."""
        container = self("create", "--network=none", image, "/nothing").strip()
        where.mkdir()
        tar = where.with_suffix(".tar")
        self("export", f"--output={tar}", container)
        self("rm", "--force", container)
        run(["tar", "-xf", tar, "-C", where, "--xattrs", "--xattrs-include=*", "--numeric-owner"])
        return where


@contextmanager
def dockerd(data_root: Path, *, containerd: bool = False) -> Iterator[Docker]:
    """Runs a daemon upon this directory, with neither network nor firewall rules. `containerd` has
    it keep its images in the containerd image store."""
    # A socket's path may have 107 bytes (unix(7)).
    home = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp"))
    argv = [
        need("dockerd"),
        f"--data-root={data_root}",
        f"--exec-root={home}/exec",
        f"--pidfile={home}/pid",
        f"--host=unix://{home}/socket",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        f"--config-file={home}/daemon.json",
    ]
    features = {"containerd-snapshotter": containerd}
    driver = "overlayfs" if containerd else "overlay2"
    (home / "daemon.json").write_text(json.dumps({"features": features, "storage-driver": driver}))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
        )
        docker = Docker(data_root, home / "socket")
        try:
            _wait(docker, process, driver, home / "log")
            yield docker
        finally:
            _end(process)
            # The daemon bind-mounts its data root over itself and leaves that behind.
            subprocess.run(["umount", "--recursive", data_root], stderr=subprocess.DEVNULL)
            shutil.rmtree(home, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the daemon; one that waits for a lock hears SIGKILL alone."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(docker: Docker, process: subprocess.Popen[bytes], driver: str, log: Path) -> None:
    deadline = time.monotonic() + patience.SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        asked = subprocess.run(
            ["docker", f"--host={docker.host}", "info", "--format={{.Driver}}"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
        )
        if asked.returncode == 0 and asked.stdout.strip() == driver:
            return
        time.sleep(0.1)
    raise AssertionError(f"dockerd does not answer:\n{log.read_text()[-3000:]}")
