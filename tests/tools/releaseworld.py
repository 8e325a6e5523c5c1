"""Two nightlies in a registry, a release controller, and a repo with the first one."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.controller import Controller, accepted
from tests.tools.importrelease import released
from tests.tools.nightly import Nightlies, Nightly
from tests.tools.ostreerepo import ostree
from tests.tools.registry import Registry

STREAM = "4.20.0-0.nightly"
AMD64 = f"oci/release/{STREAM}/amd64"
ARM64 = f"oci/release/{STREAM}/arm64"
STORE = "/usr/lib/containers/storage"


@dataclass(frozen=True)
class World:
    """Two nightlies, `second` with two new components, and a repo with the first one."""

    registry: Registry
    controller: Controller
    nightlies: Nightlies
    first: Nightly
    first_arm64: Nightly
    second: Nightly
    repo: Path
    document: dict[str, Any]

    def serve(self, nightly: Nightly) -> list[str]:
        """Makes it the stream's newest; the arguments that ask for it."""
        suffix = "" if nightly.arch == "amd64" else f"-{nightly.arch}"
        answer = accepted(nightly.name, nightly.pullspec)
        self.controller.stream(STREAM + suffix, nightly.arch, answer)
        return [
            f"--stream={STREAM}",
            f"--controller={self.controller.template}",
            f"--arch={nightly.arch}",
        ]

    def file(self, nightly: Nightly, where: Path) -> list[str]:
        """The same release out of a file, for which no payload is read."""
        path = write(where / f"{nightly.name}.json", nightly.release_info())
        return [str(path), f"--branch=oci/release/{STREAM}/{nightly.arch}"]

    def copy(self, where: Path) -> Path:
        """A repo of the test's own, with the first nightly."""
        return Path(shutil.copytree(self.repo, where / "repo", symlinks=True))


@contextmanager
def release_world(where: Path) -> Iterator[World]:
    """All of it, for as long as the block lasts."""
    with Registry() as registry, Controller() as controller:
        nightlies = Nightlies(registry, where / "layout")
        first = nightlies.push(f"{STREAM}-2024-05-06-070809")
        first_arm64 = nightlies.push(f"{STREAM}-arm64-2024-05-06-070809", "arm64")
        second = nightlies.push(f"{STREAM}-2024-05-07-070809", changed=["etcd", "pod"])
        repo = where / "repo"
        made = World(registry, controller, nightlies, first, first_arm64, second, repo, {})
        arguments = [*made.serve(first), *made.serve(first_arm64)]
        made.document.update(released(repo, *arguments))
        yield made


def metadata(repo: Path, ref: str, key: str) -> str:
    """A text of a commit's metadata."""
    return ostree(repo, "show", f"--print-metadata-key={key}", ref).strip().strip("'")


def tree(repo: Path, ref: str) -> list[str]:
    """The whole tree with modes and checksums."""
    return ostree(repo, "ls", "--recursive", "--checksum", ref).splitlines()


def history(repo: Path, ref: str) -> list[str]:
    """The commits of a branch, newest first."""
    lines = ostree(repo, "log", ref).splitlines()
    return [line.split()[1] for line in lines if line.startswith("commit ")]


def write(path: Path, document: object) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(document))
    return path
