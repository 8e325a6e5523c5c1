"""podman with storage of its own, and read-only stores of ours beside it."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.cgroup2 import with_cgroup2
from tests.tools.process import Argument, run

# Without skip_mount_home the driver leaves a bind mount of its directory behind.
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{home}/root"
runroot = "{home}/run"
[storage.options]
additionalimagestores = {stores}
[storage.options.overlay]
skip_mount_home = "true"
"""
# Locks in files, since those in shared memory are one set for the whole machine.
CONTAINERS_CONF = """\
[containers]
log_driver = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "{home}/tmp"
static_dir = "{home}/libpod"
volume_path = "{home}/volumes"
[network]
network_config_dir = "{home}/networks"
"""
QUIET_CREATE = ("--pull=never", "--network=none")


@dataclass(frozen=True)
class Podman:
    """One podman; made by `new_podman`."""

    home: Path

    def __call__(self, *arguments: Argument) -> str:
        """Runs `podman ...`; returns its output."""
        return run(["podman", *arguments], env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """Our configuration instead of the machine's.

        No `--root`: with that option podman forgets the additional stores of storage.conf.
        """
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CONTAINERS_STORAGE_CONF": str(self.home / "storage.conf"),
            "CONTAINERS_CONF": str(self.home / "containers.conf"),
        }

    def images(self) -> list[dict[str, Any]]:
        """`podman images`, of all stores."""
        found: list[dict[str, Any]] = json.loads(self("images", "--format=json"))
        return found

    def inspect(self, image: str) -> dict[str, Any]:
        """`podman image inspect` of one image."""
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]

    def run(
        self, image: str, *command: str, flags: Sequence[str] = (), conf: Path | None = None
    ) -> str:
        """The output of `podman run --rm` without network and cgroup limits.

        `conf` is read after containers.conf.
        """
        more = {"CONTAINERS_CONF_OVERRIDE": str(conf)} if conf is not None else {}
        argv = ["podman", "run", "--rm", "--cgroups=disabled", *QUIET_CREATE, *flags, image]
        return run(with_cgroup2([*argv, *command]), env=self.environment | more)

    def create(self, name: str, image: str, *command: str) -> None:
        """`podman create` of what `start` can start."""
        flags = ("--cgroups=disabled", *QUIET_CREATE, f"--name={name}")
        self("create", *flags, image, *command)

    def start(self, name: str) -> str:
        """The output of a container that was created before."""
        argv: list[Argument] = ["podman", "start", "--attach", name]
        return run(with_cgroup2(argv), env=self.environment)

    def build(self, context: Path, tag: str, *more: str) -> None:
        """`podman build`, without pulling. chroot isolation needs neither cgroups nor a network
        of its own; its default limits are more than this process may have."""
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        flags = ("--pull=never", "--isolation=chroot", "--network=host", *limits)
        argv: list[Argument] = [
            "podman",
            "build",
            "--quiet",
            *flags,
            *more,
            f"--tag={tag}",
            context,
        ]
        run(with_cgroup2(argv), env=self.environment)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The tree of a container made from the image, for as long as the block lasts.

        `podman image mount` fails on read-only stores, hence a container. It adds nothing
        to the tree as long as it does not run.
        """
        # An image without a command would not do; this one is never called.
        container = self("create", *QUIET_CREATE, image, "/nothing").strip()
        try:
            yield Path(self("mount", container).strip())
        finally:
            self("umount", "--force", container)
            self("rm", "--force", container)


def new_podman(home: Path, *stores: Path) -> Podman:
    """A podman that keeps everything below `home` and also sees the images of `stores`."""
    home.mkdir(parents=True, exist_ok=True)
    listed = json.dumps([str(store) for store in stores])
    (home / "storage.conf").write_text(STORAGE_CONF.format(home=home, stores=listed))
    (home / "containers.conf").write_text(CONTAINERS_CONF.format(home=home))
    return Podman(home)
