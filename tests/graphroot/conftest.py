"""The store that podman has pulled a module's image `built` to, and a copy to be changed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.image import BuiltImage
from tests.tools.podman import new_podman
from tests.tools.process import run
from tests.tools.registry import Registry


@pytest.fixture(scope="module")
def pulled(
    tmp_path_factory: pytest.TempPathFactory,
    registry: Registry,
    built: BuiltImage,
    request: pytest.FixtureRequest,
) -> Path:
    name = request.module.__name__.rpartition(".")[2]
    podman = new_podman(tmp_path_factory.mktemp(f"{name}-store") / "podman")
    reference = registry.push(built, f"graphroot/{name}:1")
    podman("pull", "--quiet", "--tls-verify=false", reference)
    return podman.home / "root"


@pytest.fixture
def store(pulled: Path, tmp_path: Path) -> Iterator[Path]:
    run(["cp", "-a", pulled, tmp_path / "store"])
    yield tmp_path / "store"
    shutil.rmtree(tmp_path / "store")
