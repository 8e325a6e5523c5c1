"""A device: a sysroot that ostree deploys to, and podman with the current deployment's store."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.tools.ostreerepo import ostree
from tests.tools.podman import Podman, new_podman
from tests.tools.process import Argument, run

OS = "test"
REMOTE = "builds"
#: Without it deployments get the immutable flag, and nobody could remove the test's files.
DEBUG = {"OSTREE_SYSROOT_DEBUG": "mutable-deployments"}


@dataclass(frozen=True)
class Device:
    """Made by `new_device`; `current` links to the deployment that would be booted."""

    home: Path

    @property
    def sysroot(self) -> Path:
        """The device's physical root."""
        return self.home / "sysroot"

    @property
    def repo(self) -> Path:
        """The device's own repo, of mode bare."""
        return self.sysroot / "ostree/repo"

    @property
    def current(self) -> Path:
        """The root directory that the device has after its last boot."""
        return self.home / "current"

    def admin(self, command: str, *arguments: Argument) -> str:
        """Runs `ostree admin COMMAND` on the sysroot."""
        argv = ["ostree", "admin", command, f"--sysroot={self.sysroot}", *arguments]
        return run(argv, env={**os.environ, **DEBUG})

    def pull(self, branch: str, *flags: str) -> None:
        """Pulls from where the device gets its builds."""
        ostree(self.repo, "pull", *flags, REMOTE, branch)

    def deploy(self, branch: str) -> None:
        """Deploys what was pulled, and boots it."""
        self.admin("deploy", f"--os={OS}", "--karg=root=none", f"{REMOTE}:{branch}")
        self.boot()

    def upgrade(self) -> None:
        """Pulls and deploys the newest commit of the same branch, and boots it."""
        self.admin("upgrade", f"--os={OS}")
        self.boot()

    def boot(self, index: int = 0) -> None:
        """Makes a deployment the current one; 0 is the newest, 1 the one to roll back to."""
        commits = [
            words[1]
            for line in self.admin("status").splitlines()
            if (words := line.replace("*", " ").split())[:1] == [OS]
        ]
        deployment = self.sysroot / f"ostree/deploy/{OS}/deploy" / commits[index]
        self.current.unlink(missing_ok=True)
        self.current.symlink_to(deployment)

    def podman(self, home: Path) -> Podman:
        """podman by the deployment's own storage.conf; its paths begin at `current`, and what
        it writes, the device's /var, goes to `home` and outlives an upgrade."""
        podman = new_podman(home)
        conf = (self.current / "etc/containers/storage.conf").read_text()
        for there, here in (
            ("/var/lib/containers/storage", home / "root"),
            ("/run/containers/storage", home / "run"),
            ("/usr/lib/containers/storage", self.current / "usr/lib/containers/storage"),
        ):
            assert f'"{there}"' in conf
            conf = conf.replace(f'"{there}"', f'"{here}"')
        overlay = '\n[storage.options.overlay]\nskip_mount_home = "true"\n'
        (home / "storage.conf").write_text(conf + overlay)
        return podman


def new_device(home: Path, url: str) -> Device:
    """A sysroot without a boot loader and without a deployment, that pulls from `url`."""
    device = Device(home)
    device.sysroot.mkdir(parents=True)
    run(["ostree", "admin", "init-fs", "--modern", device.sysroot])
    device.admin("os-init", OS)
    ostree(device.repo, "config", "set", "sysroot.bootloader", "none")
    run(["ostree", "remote", "add", f"--repo={device.repo}", "--no-gpg-verify", REMOTE, url])
    return device
