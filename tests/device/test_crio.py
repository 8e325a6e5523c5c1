"""The table of docs/how-to/cri-o.md, row by row, with real CRI-O: `make lab CRIO=… CRICTL=…`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools.artifact import push_artifact
from tests.tools.busybox import busybox_layer
from tests.tools.crio import Machine, booted, lab_files, program
from tests.tools.device import new_device
from tests.tools.entry import Entry, whiteout
from tests.tools.httpserver import http_server
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import init, rev_parse
from tests.tools.process import CommandError
from tests.tools.registry import Registry
from tests.tools.storecommand import image_store

pytestmark = pytest.mark.root

BRANCH = "device/crio"
SHARED = [Entry(b"data", "dir", mode=0o755), Entry(b"data/old"), Entry(b"data/kept")]


class Lab:
    """A device, and where its releases come from.

    The first release has the images `kept` and `dropped`. `pulled` is in the registry alone, and
    shares layers with `dropped`.
    """

    def __init__(
        self, home: Path, registry: Registry, url: str, *, repair: bool, extension: bool = False
    ) -> None:
        self._home = home
        self.commits: list[str] = []
        self._layout = home / "layout"
        self._registry = registry
        self._pause = self._push("pause", [busybox_layer()], {"Cmd": ["sleep", "999999"]})
        self._files = lab_files(home, self._pause, registry.host, repair=repair)
        self._files |= {"usr/etc/extensions/lab/usr/lib/tool": ""} if extension else {}
        self._flags = ("--whiteouts=none",) if extension else ()
        self.kept, self.dropped, self.pulled = map(self._image, ("kept", "dropped", "pulled"))
        self.release("1", self.kept, self.dropped)
        self.device = new_device(home / "sysroot", url)
        self.device.pull(BRANCH)
        self.device.deploy(BRANCH)

    def _image(self, name: str) -> str:
        """An image that deletes a file of the layer below, and has one of its own."""
        own = [whiteout(b"data/old"), Entry(b"data/" + name.encode())]
        return self._push(name, [busybox_layer(), SHARED, own], {"Cmd": ["sleep", "999999"]})

    def _push(self, name: str, layers: list[list[Entry]], config: dict[str, Any]) -> str:
        built = build_oci(self._layout, name, layers, config=config)
        return self._registry.push(built, f"crio/{name}:1")

    def release(self, version: str, *images: str, artifacts: Sequence[str] = ()) -> None:
        """Commits an operating system of this version with these images and artifacts."""
        root = os_tree(self._home / f"os-{version}", self._files, version)
        stamp = f"--timestamp=2025-01-0{version}T00:00:00Z"
        repo = self._home / "repo"
        commit_os(repo, "os", root, version=version, stamp=stamp)
        flags = ["--onto=os", f"--branch={BRANCH}", "--storage-conf", "--crio-conf"]
        flags += [f"--artifact={artifact}" for artifact in artifacts]
        imported(repo, *flags, *self._flags, self._pause, *images)
        self.commits.append(rev_parse(repo, BRANCH))

    def foretold(self) -> set[str]:
        """The images that pods of the last release but one have to pull, as check-upgrade says."""
        outcome = image_store(self._home / "repo", "check-upgrade", "--json", *self.commits[-2:])
        return {name for image in outcome.document["images"] for name in image["lost_names"]}

    @contextmanager
    def boot(
        self, *environment: str, wipe: bool = True, overlay: bool = False
    ) -> Iterator[Machine]:
        """The device with CRI-O; its power is cut when the block ends."""
        place = self._home / "device"
        with booted(self.device, place, wipe=wipe, overlay=overlay) as machine:
            machine.start(*environment)
            yield machine

    def starts(self, machine: Machine, *images: str) -> None:
        """New pods of these images start, and show the images' own trees."""
        for image in images:
            name = image.rpartition("/")[2].partition(":")[0]
            shown = machine.crictl("exec", machine.pod(image), "ls", "/data")
            assert set(shown.split()) == {"kept", name}

    def lists(self, machine: Machine, *images: str) -> None:
        """CRI-O lists just these images, and the one of the pods themselves."""
        assert machine.images() == {self._pause, *images}


@contextmanager
def new_lab(
    home: Path, registry: Registry, *, repair: bool = True, extension: bool = False
) -> Iterator[Lab]:
    """A device with the first release deployed."""
    program("CRICTL")
    repo = init(home / "repo", "archive")
    with http_server(repo) as url:
        yield Lab(home, registry, url, repair=repair, extension=extension)


def test_clean_reboots_upgrade_and_rollback(tmp_path: Path, registry: Registry) -> None:
    with new_lab(tmp_path, registry) as lab:
        with lab.boot() as machine:
            lab.starts(machine, lab.kept, lab.dropped)
            machine.crictl("pull", lab.pulled)
            lab.starts(machine, lab.pulled)
            machine.stop()
        with lab.boot() as machine:
            assert machine.running() == set()
            lab.starts(machine, lab.kept, lab.dropped, lab.pulled)
            machine.stop()
        lab.release("2", lab.kept)
        assert lab.foretold() == {lab.dropped}
        lab.device.upgrade()
        with lab.boot() as machine:
            lab.lists(machine, lab.kept, lab.pulled)
            lab.starts(machine, lab.kept, lab.pulled)
            with pytest.raises(CommandError, match=r"does not resolve to|not known|not found"):
                machine.pod(lab.dropped)
            machine.stop()
        lab.device.boot(1)
        with lab.boot() as machine:
            lab.lists(machine, lab.kept, lab.dropped, lab.pulled)
            lab.starts(machine, lab.kept, lab.dropped, lab.pulled)
            machine.stop()


@pytest.mark.parametrize("repair", [True, False])
def test_a_crash_of_crio(tmp_path: Path, registry: Registry, *, repair: bool) -> None:
    with new_lab(tmp_path, registry, repair=repair) as lab, lab.boot() as machine:
        machine.crictl("pull", lab.pulled)
        before = {machine.pod(image) for image in (lab.kept, lab.pulled)}
        machine.stop("KILL")
        machine.start()
        if repair:
            assert machine.running() == set()
            lab.lists(machine, lab.kept, lab.dropped)
        else:
            assert machine.running() == before
            lab.lists(machine, lab.kept, lab.dropped, lab.pulled)
            lab.starts(machine, lab.pulled)
        lab.starts(machine, lab.kept, lab.dropped)


@pytest.mark.parametrize("masked", [False, True])
def test_a_power_cut(tmp_path: Path, registry: Registry, *, masked: bool) -> None:
    with new_lab(tmp_path, registry, repair=not masked) as lab:
        with lab.boot(wipe=not masked) as machine:
            machine.crictl("pull", lab.pulled)
            lab.starts(machine, lab.kept, lab.pulled)
        with lab.boot(wipe=not masked) as machine:
            assert machine.running() == set()
            lab.lists(machine, lab.kept, lab.dropped, *([lab.pulled] if masked else []))
            lab.starts(machine, lab.kept, lab.dropped, *([lab.pulled] if masked else []))


UNIT = "usr/lib/systemd/system/crio.service.d/50-import-image.conf"


def test_below_an_overlay_of_usr(tmp_path: Path, registry: Registry) -> None:
    """Deleted files stay deleted, and pods with users of their own start by the drop-in."""
    with new_lab(tmp_path, registry, extension=True) as lab:
        with lab.boot(overlay=True) as machine:
            lab.starts(machine, lab.kept, lab.dropped)
            with pytest.raises(CommandError, match="mapped mount"):
                machine.pod(lab.kept, own_users=True)
            machine.stop()
        unit = (lab.device.current / UNIT).read_text().splitlines()
        with lab.boot(unit[-1].removeprefix("Environment="), overlay=True) as machine:
            container = machine.pod(lab.kept, own_users=True)
            shown = machine.crictl("exec", container, "cat", "/proc/self/uid_map")
            assert shown.split() == ["0", "100000", "65536"]
            machine.stop()


def test_an_artifact_is_listed_pinned_and_mounted(tmp_path: Path, registry: Registry) -> None:
    """From a read-only /usr, by CRI-O 1.35.2 and later."""
    with new_lab(tmp_path, registry) as lab:
        model = push_artifact(registry, "models/granite:3.1", {"model.bin": b"weights" * 99})
        lab.release("2", lab.kept, artifacts=[model])
        lab.device.upgrade()
        with lab.boot() as machine:
            if machine.version < (1, 35, 2):
                lab.lists(machine, lab.kept)  # it ignores the key, and works as before
                return
            lab.lists(machine, lab.kept, model)
            found = json.loads(machine.crictl("inspecti", model))["status"]
            assert found["pinned"]
            pod = machine.pod(lab.kept, volume=model)
            assert machine.crictl("exec", pod, "cat", "/volume/model.bin") == "weights" * 99
            machine.stop()
