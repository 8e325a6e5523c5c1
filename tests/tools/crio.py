"""A device that runs CRI-O: a deployment's store and configuration, in namespaces of its own.

Nobody has packaged CRI-O for Debian: CRIO and CRICTL name the programs, and `pinns` lies beside
CRI-O. Without them the tests are skipped.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools import patience
from tests.tools.device import Device
from tests.tools.process import Argument, CommandError, run

SOCKET = "/run/crio/crio.sock"
# A container engine may set limits and lower oom_score_adj; a test machine may allow neither.
RUNTIME = """\
#!/usr/bin/python3
import json, os, sys
if "--bundle" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        spec = json.load(file)
    spec["process"].pop("oomScoreAdj", None)
    spec["linux"].pop("resources", None)
    with open(path, "w") as file:
        json.dump(spec, file)
os.execvp("crun", ["crun", *sys.argv[1:]])
"""
CONF = """\
[crio]
internal_repair = {repair}
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "{pinns}"
selinux = false
apparmor_profile = "unconfined"
seccomp_profile = "unconfined"
default_runtime = "lab"
[crio.runtime.runtimes.lab]
runtime_path = "{runtime}"
[crio.image]
pause_image = "{pause}"
pause_command = ""
"""
REGISTRIES = '[[registry]]\nlocation = "{host}"\ninsecure = true\n'
USERS = {"host_id": 100000, "container_id": 0, "length": 65536}
# What CRI-O leaves of its control groups once all of its processes are gone.
CLEAN = 'mount -t cgroup2 cgroup2 "$0" && find "$0/$1" -depth -type d -exec rmdir {} +'
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
# /var is the device's; /run is new at each boot. The mount point of the store is in no package.
BOOT = f"""
set -e
umount --recursive /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$4"
mount --bind "/sys/fs/cgroup/$4" /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t overlay usr -o "lowerdir=$1/usr:/usr" /usr
mkdir /run/etc /run/work
mount -t overlay etc -o "lowerdir=$2/etc:/etc,upperdir=/run/etc,workdir=/run/work" /etc
mount --bind "$1/var" /var
store=/usr/lib/containers/storage
if [ "$3" ]; then
    mkdir /run/empty
    mount -t overlay store -o "lowerdir=$2$store:/run/empty" "$store"
else
    mount --bind "$2$store" "$store"
    mount -o remount,bind,ro "$store"
fi
mkdir -p {Path(SOCKET).parent}
echo booted
sleep infinity & wait  # and reaps what ends
"""


def program(name: str) -> Path:
    """The program that the environment names; the test is skipped without it."""
    if name not in os.environ:
        pytest.skip(f"{name} names no program; see `make help`")
    return Path(os.environ[name]).resolve(strict=True)


def lab_files(home: Path, pause: str, host: str, *, repair: bool) -> dict[str, str]:
    """The operating system's own configuration; `host` is a registry without TLS."""
    runtime = home / "runtime"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)
    pinns = program("CRIO").with_name("pinns")
    conf = CONF.format(repair=str(repair).lower(), pinns=pinns, runtime=runtime, pause=pause)
    return {
        "usr/etc/crio/crio.conf.d/10-lab.conf": conf,
        "usr/etc/containers/policy.json": POLICY,
        "usr/etc/containers/registries.conf": REGISTRIES.format(host=host),
    }


class Machine:
    """A device that has booted its current deployment; made by `booted`."""

    def __init__(self, home: Path, init: int) -> None:
        self._home = home
        self._inside = ("nsenter", f"--target={init}", "--mount", "--pid", "--")
        self._number = 0

    def __call__(self, *argv: Argument) -> str:
        """Runs a command on the device."""
        return run([*self._inside, *argv])

    def start(self, *environment: str) -> None:
        """Starts CRI-O, and waits until it answers."""
        script = '"$@" >>/var/log/lab 2>&1 & echo $! >/run/pid'
        self("sh", "-c", script, "sh", "env", *environment, program("CRIO"))
        deadline = time.monotonic() + patience.SECONDS
        while time.monotonic() < deadline:
            try:
                self.crictl("version")
            except CommandError:
                log = self(
                    "sh", "-c", 'kill -0 "$(cat /run/pid)" 2>/dev/null || tail -3 /var/log/lab'
                )
                assert not log, log
                time.sleep(0.1)
            else:
                return

    def stop(self, name: str = "TERM") -> None:
        """Ends CRI-O alone, and waits for its end; its containers go on."""
        script = 'kill -"$0" "$(cat /run/pid)"; while kill -0 "$(cat /run/pid)"; do sleep 0.1; done'
        self("sh", "-c", f"{script} 2>/dev/null", name)

    def crictl(self, *arguments: Argument) -> str:
        """Runs crictl."""
        flags = ("--config=/dev/null", f"--runtime-endpoint=unix://{SOCKET}", "--timeout=60s")
        return self(program("CRICTL"), *flags, *arguments)

    @property
    def version(self) -> tuple[int, ...]:
        """The version of CRI-O: its three numbers."""
        lines = dict(line.split(":", 1) for line in self.crictl("version").splitlines())
        return tuple(map(int, lines["RuntimeVersion"].partition("-")[0].split(".")))

    def images(self) -> set[str]:
        """The names of all images that CRI-O lists, with tags."""
        found = json.loads(self.crictl("images", "--output=json"))["images"]
        return {tag for image in found for tag in image["repoTags"]}

    def running(self) -> set[str]:
        """The ids of running containers."""
        return set(self.crictl("ps", "--quiet").split())

    def pod(self, image: str, *, own_users: bool = False, volume: str = "") -> str:
        """Starts a container in a pod of its own, as the kubelet does; its id.

        `own_users` is the pod's `hostUsers: false`. `volume` is an artifact that is mounted at
        /volume, as a pod's volume with `image.reference`.
        """
        self._number += 1
        name = {"name": f"p{self._number}", "uid": f"{time.monotonic_ns()}", "namespace": "lab"}
        users = {"userns_options": {"mode": 0, "uids": [USERS], "gids": [USERS]}}
        options = {"network": 2, **(users if own_users else {})}
        linux = {"security_context": {"namespace_options": options}}
        pod = self._write("pod", {"metadata": name, "linux": linux})
        spec: dict[str, Any] = {"metadata": {"name": "c"}, "image": {"image": image}}
        spec["linux"] = linux
        if volume:
            spec["mounts"] = [{"container_path": "/volume", "image": {"image": volume}}]
        container = self._write("container", spec)
        sandbox = self.crictl("runp", pod).strip()
        made = self.crictl("create", sandbox, container, pod).strip()
        self.crictl("start", made)
        return made

    def _write(self, name: str, content: dict[str, Any]) -> Path:
        path = self._home / f"{name}.json"
        path.write_text(json.dumps(content))
        return path


@contextmanager
def booted(
    device: Device, home: Path, *, wipe: bool = True, overlay: bool = False
) -> Iterator[Machine]:
    """Boots the device's current deployment; its /var is below `home`.

    `overlay` is what systemd-sysext and composefs make of the store's file system. `wipe` runs what
    crio-wipe.service runs at each boot. When the block ends, everything that runs there is killed,
    as by a power cut.
    """
    for name in ("usr/lib/containers/storage", "var/lib", "var/log", "var/tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    link = home / "var/run"
    if not link.is_symlink():
        link.symlink_to("/run")
    group = f"lab-{os.getpid()}-{time.monotonic_ns()}"
    script = ("sh", "-c", BOOT, "sh", home, device.current.resolve(), "1" * overlay, group)
    flags = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    with subprocess.Popen(["unshare", *flags, *script], stdout=subprocess.PIPE) as machine:
        init = machine.pid
        try:
            assert machine.stdout is not None
            assert machine.stdout.readline() == b"booted\n"
            init = int(Path(f"/proc/{init}/task/{init}/children").read_text())
            inside = Machine(home, init)
            if wipe:
                inside(program("CRIO"), "wipe")
            yield inside
        finally:
            # The kernel reports the end of a namespace's first process when all others are gone.
            os.kill(init, signal.SIGKILL)
    run(["unshare", "--mount", "sh", "-c", CLEAN, home / "usr", group])
