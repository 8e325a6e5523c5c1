"""A pure cgroup2 for `podman run` on machines that have a mixture of versions.

crun and podman look at the file system type of /sys/fs/cgroup alone: a tmpfs there, with the
version 1 hierarchies below, makes crun give up.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.tools.process import Argument

CGROUP = "/sys/fs/cgroup"
# `slave`: what the machine mounts is seen inside, what we mount is not seen outside.
UNSHARE = ("unshare", "--mount", "--propagation", "slave")
SCRIPT = f'umount --recursive {CGROUP}; mount -t cgroup2 cgroup2 {CGROUP} && exec "$@"'


def with_cgroup2(argv: Sequence[Argument]) -> list[Argument]:
    """The command as it is, or wrapped in a mount namespace with a cgroup2 of its own."""
    if has_cgroup2():
        return list(argv)
    return [*UNSHARE, "sh", "-c", SCRIPT, "sh", *argv]


def has_cgroup2() -> bool:
    """Whether the topmost mount at /sys/fs/cgroup is cgroup2."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # proc_pid_mountinfo(5): the mount point is field 5, the type follows a lone hyphen.
    types = [line.partition(" - ")[2].split()[0] for line in lines if line.split()[4] == CGROUP]
    return bool(types) and types[-1] == "cgroup2"
