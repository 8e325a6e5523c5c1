"""Fixtures for all tests."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import lacking, order, ostreerepo, tried
from tests.tools.importimage import NOBODY, SCRIPT
from tests.tools.podman import Podman, new_podman
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.releaseworld import World, release_world

FIXTURES = Path(__file__).parent.parent / "fixtures" / "images"


#: Those that `nohup`, and a shell's `&`, have a program ignore, and so each program that it starts.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def pytest_configure(config: pytest.Config) -> None:
    """Set the umask and the signals that the tests count on, whoever starts pytest.

    What other tools unpack has the modes of its tar; many a machine's umask would hide that.
    """
    order.keep(config)
    os.umask(0o022)
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests wait for a deadline, and compute nothing."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes run the tests, begin with the files that take longest."""
    order.longest_first(config, items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs root where we are not root; CI is."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root: owners, device nodes and mounts")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests a system with other packages than Debian's has skipped, and for what;
    and how many faults the commands got."""
    for line in lacking.summary(terminalreporter.getreports("skipped")):
        terminalreporter.write_line(line, yellow=True)
    for line in tried.table(terminalreporter.getreports("passed")):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry all tests share: push what you like, break nothing."""
    with Registry() as running:
        yield running


@pytest.fixture
def private_registry() -> Iterator[Registry]:
    """A registry for one test, which may break it."""
    with Registry() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """An empty ostree repository of mode bare-user."""
    return ostreerepo.init(tmp_path / "repo", "bare-user")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Where a test's OCI layout goes; `build_oci` makes it."""
    return tmp_path / "layout"


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    """A podman with empty storage and no additional store."""
    return new_podman(tmp_path / "podman")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory of the user nobody, for commands run as that user; only for root to ask for."""
    try:
        # Whether it can be read, and not whether it works: that is what is tested.
        run([*NOBODY, "test", "-x", str(SCRIPT), "-a", "-r", __file__])
    except CommandError:
        pytest.skip("the checkout is not readable for the user nobody")
    where = Path(run([*NOBODY, "mktemp", "-d", "/tmp/import-image-XXXXXX"]).strip())
    yield where
    shutil.rmtree(where)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nightly releases all tests share; they change nothing in it but what the stream has."""
    with release_world(tmp_path_factory.mktemp("release")) as made:
        yield made


@pytest.fixture
def copied(world: World, tmp_path: Path) -> Path:
    """A repo of the test's own, with the first nightly."""
    return world.copy(tmp_path)


@pytest.fixture
def fixtures() -> Path:
    """The directory of the layer definitions."""
    return FIXTURES
