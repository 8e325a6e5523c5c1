"""A machine for the commands of a page: its registry stands in for all registries of the net.

Only root can have one. It is namespaces of network, mounts and processes. Nothing of the
page's outlives it but files below its home: `/srv`, `/run` and `/var/lib` are the page's own, and
changes of `/etc`, `/opt` and `/usr` are seen inside alone.
"""

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools.cgroup2 import with_cgroup2
from tests.tools.importimage import SCRIPT
from tests.tools.ownnetwork import OwnNetwork
from tests.tools.page import Block
from tests.tools.process import Argument

REGISTRIES = ("quay.io", "docker.io", "registry.k8s.io", "registry.example.com", "127.0.0.1:80")
HOSTS = """\
127.0.0.1 localhost quay.io docker.io registry-1.docker.io registry.k8s.io registry.example.com
"""
#: podman as on any other machine, but for a network and cgroups, which a test has not.
CONTAINERS_CONF = """\
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "none"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
TOP = Path(__file__).resolve().parent.parent.parent
CHANGED = ("/etc", "/opt", "/usr")
OWN = ("/run", "/srv", "/var/lib", "/var/tmp", "/tmp")  # the last, since home may lie in it
#: The directory that a page's commands begin in.
WORK = "/srv/work"
SECONDS = 600
#: Before and after each block, on standard output and in no text of a page.
BORDER = "\x1e"
SETUP = """
set -eu
home=$1 top=$2 work=$3 changed=$4 own=$5
mkdir -p $home/srv/top
mount --bind $top $home/srv/top
cp -r $home/etc $home/srv
for one in $changed; do
    mkdir -p $home/upper$one $home/workdir$one
    mount -t overlay overlay $one \
        -o lowerdir=$one,upperdir=$home/upper$one,workdir=$home/workdir$one
done
for one in $own; do mkdir -p $home$one; mount --rbind $home$one $one; done
if ! test -e $top; then mkdir -p $top; mount --bind /srv/top $top; fi
cp -r /srv/etc/. /etc
cd $work
exec bash /srv/page.sh
"""


@dataclass(frozen=True)
class Outcome:
    """How a page ran: the block of `line` was the last one; `outputs` has what each printed."""

    status: int
    line: int
    outputs: dict[int, str]


@dataclass(frozen=True)
class PageMachine:
    """Made by `page_machine`. `env` is the environment of the page's commands."""

    network: OwnNetwork
    home: Path
    env: dict[str, str]

    @property
    def work(self) -> Path:
        """Where the commands' directory is outside."""
        return Path(f"{self.home}{WORK}")

    def run(self, blocks: Sequence[Block], before: str = "", after: str = "") -> Outcome:
        """Run the blocks in one shell, to the first command that fails; write the files."""
        (self.home / "srv/page.sh").write_text(before + script(blocks) + after)
        unshared = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        words: list[Argument] = [self.home, TOP, WORK, " ".join(CHANGED), " ".join(OWN)]
        argv: list[Argument] = [*unshared, "bash", "-c", SETUP, "bash", *words]
        done = self.network.call(
            subprocess.run,
            with_cgroup2(argv),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=SECONDS,
        )
        parts = done.stdout.decode(errors="replace").split(BORDER)
        outputs = {int(line): text for line, text in zip(parts[1::2], parts[2::2], strict=True)}
        return Outcome(done.returncode, max(outputs, default=0), outputs or {0: parts[0]})


def script(blocks: Sequence[Block]) -> str:
    """Return the blocks as a script of bash that ends at the first failure."""
    return "set -euo pipefail\n" + "".join(map(_step, blocks))


def _step(block: Block) -> str:
    border = f"printf '\\n{BORDER}{block.line}{BORDER}\\n'\n"
    if block.mark.kind == "file":
        path = shlex.quote(block.mark.word)
        text = shlex.quote(block.text)
        return f"{border}mkdir -p $(dirname {path})\nprintf %s {text} > {path}\n"
    return border + block.text


@contextmanager
def page_machine(network: OwnNetwork, home: Path, env: dict[str, str]) -> Iterator[PageMachine]:
    """A machine whose files are below `home`; `env` is added to the commands' environment."""
    etc = home / "etc/containers"
    Path(f"{home}{WORK}").mkdir(parents=True)
    (etc / "registries.d").mkdir(parents=True)
    registries = (f'[[registry]]\nlocation = "{name}"\ninsecure = true\n' for name in REGISTRIES)
    for name, text in {
        "registries.conf": "\n".join(registries),
        "containers.conf": CONTAINERS_CONF,
        "storage.conf": STORAGE_CONF,
        "policy.json": POLICY,
        "../hosts": HOSTS,
    }.items():
        (etc / name).write_text(text)
    path = f"{SCRIPT.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    base = {"PATH": path, "HOME": WORK, "LANG": "C.UTF-8", "USER": "root"}
    base["BUILDAH_ISOLATION"] = "chroot"  # which needs neither cgroups nor a network
    yield PageMachine(network, home, base | env)
