"""A user without privileges, as rootless podman needs one: with sub-ids, home and /dev/fuse.

The user exists in a mount namespace alone, in which other files lie over /etc/passwd, /etc/group,
/etc/subuid and /etc/subgid. The machine keeps its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.cgroup2 import UNSHARE, with_cgroup2
from tests.tools.podman import QUIET_CREATE
from tests.tools.process import Argument, CommandError, run

UID, FIRST_SUB_ID = 1234, 200_000
_FILES = {
    "passwd": f"rootless:x:{UID}:{UID}::{{home}}:/bin/sh\n",
    "group": f"rootless:x:{UID}:\n",
    "subuid": f"rootless:{FIRST_SUB_ID}:65536\n",
    "subgid": f"rootless:{FIRST_SUB_ID}:65536\n",
}
# A user of a device with fuse may open it; on a machine for tests often root alone.
_SCRIPT = f"""
etc=$1; shift
for one in {" ".join(_FILES)}; do mount --bind "$etc/$one" "/etc/$one"; done
test ! -e /dev/fuse || mount --bind "$etc/fuse" /dev/fuse
exec setpriv --reuid={UID} --regid={UID} --clear-groups "$@"
"""


@dataclass(frozen=True)
class User:
    """The user; made by `new_user`. All that belongs to the user is below `home`."""

    home: Path

    def run(self, *argv: Argument) -> str:
        """The output of a command of the user's."""
        etc = str(self.home.parent / "etc")
        wrapped = [*UNSHARE, "sh", "-euc", _SCRIPT, "sh", etc, *argv]
        return run(with_cgroup2(wrapped), env=self.environment)

    def podman_run(self, image: str, command: str, *flags: str) -> str:
        """The output of a shell's command in a container, which is kept."""
        argv = ("podman", "run", "--cgroups=disabled", *QUIET_CREATE, *flags, image)
        return self.run(*argv, "sh", "-c", command)

    def configure(self, store: Path, more: str = "") -> None:
        """Name a read-only store in the user's storage.conf; `more` follows in the file."""
        conf = self.home / ".config/containers/storage.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(
            f'[storage]\ndriver = "overlay"\n[storage.options]\n'
            f'additionalimagestores = ["{store}"]\n{more}'
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a session of the user's has."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "USER": "rootless",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }


@contextmanager
def new_user(where: Path) -> Iterator[User]:
    """A user whose home is below a directory that everybody may enter.

    Skip the test if the machine lets no user make a user namespace with sub-ids.
    """
    user = User(where / "home")
    (user.home / "run").mkdir(parents=True, mode=0o700)
    (where / "etc").mkdir()
    for name, line in _FILES.items():
        text = (Path("/etc") / name).read_text()
        (where / "etc" / name).write_text(text + line.format(home=user.home))
        (where / "etc" / name).chmod(0o644)
    os.mknod(where / "etc/fuse", 0o020666, os.makedev(10, 229))
    (where / "etc/fuse").chmod(0o666)
    run(["chown", "-R", f"{UID}:{UID}", user.home])
    try:
        mapped = user.run("podman", "unshare", "cat", "/proc/self/uid_map")
        assert str(FIRST_SUB_ID) in mapped
    except CommandError as error:
        pytest.skip(f"users may not make user namespaces with sub-ids here: {error}")
    try:
        yield user
    finally:
        # It ends the process that keeps the user's namespace, and lets go what is mounted there.
        user.run("podman", "system", "migrate")
