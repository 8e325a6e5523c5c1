"""A Dask scheduler and workers, as their users start them: processes of the command `dask`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.tools.home import empty_home
from tests.tools.patience import await_that
from tests.tools.process import Argument
from tests.tools.session import members

DASK = Path(sys.executable).with_name("dask")
_QUICK = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s"}


def _is_whole(file: Path) -> bool:
    """Whether Dask has written the JSON file to its end: the file is there before its content."""
    with suppress(FileNotFoundError, json.JSONDecodeError):
        return bool(json.loads(file.read_text()))
    return False


class DaskProcess:
    """One process, in a session of its own; `log` is where it writes what it says."""

    def __init__(
        self, log: Path, argv: Sequence[Argument], env: Mapping[str, str], wrapper: Sequence[str]
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *wrapper, DASK, *argv],
                env={"PATH": os.environ["PATH"], "HOME": empty_home(), **_QUICK, **env},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, text: str) -> bool:
        """Whether it has written this. It must be alive."""
        said = self.log.read_text()
        assert self.process.poll() is None, said
        return text in said

    def children(self) -> list[str]:
        """The names of the programs that it runs."""
        own = str(self.process.pid)
        pairs = (one.split(maxsplit=1) for one in members(self.process.pid))
        return [name for pid, name in pairs if pid != own]

    def kill(self) -> None:
        """SIGKILL, to it alone, and wait for its end."""
        self.process.kill()
        self.process.wait()


class DaskCluster:
    """`with DaskCluster(directory) as dask:` runs a scheduler; `add` starts workers.

    `tls` are Dask's settings for tls://, as environment variables; `env` are others, of the
    scheduler.
    """

    def __init__(
        self,
        directory: Path,
        tls: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._env = env or {}
        self.tls = tls or {}
        self.workers: list[DaskProcess] = []
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        file = self.directory / "scheduler.json"
        protocol = ["--protocol=tls"] if self.tls else []
        argv = ["scheduler", "--host=127.0.0.1", "--port=0", "--dashboard-address=127.0.0.1:0"]
        argv += [f"--scheduler-file={file}", *protocol]
        self.scheduler = self._started("scheduler", argv, self._env, [])
        await_that(lambda: self.scheduler.says("Scheduler at") and _is_whole(file), "no scheduler")
        self.address = str(json.loads(file.read_text())["address"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def add(
        self, count: int = 1, *, env: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()
    ) -> list[DaskProcess]:
        """Starts workers, each for one layer at once, and waits until the scheduler has them."""
        argv = ["worker", self.address, "--nthreads=1", "--no-dashboard", "--no-nanny"]
        argv += ["--host=127.0.0.1", f"--local-directory={self.directory}"]
        begun = len(self.workers)
        new = [self._started(f"worker-{begun + n}", argv, env or {}, wrapper) for n in range(count)]
        self.workers += new
        for one in new:
            await_that(lambda one=one: one.says("Registered to"), "no worker")  # type: ignore[misc]
        return new

    def remove_workers(self) -> None:
        """Ends all workers; the scheduler notices at once."""
        for one in self.workers:
            one.kill()
        self.workers.clear()

    def _started(
        self, name: str, argv: Sequence[Argument], env: Mapping[str, str], wrapper: Sequence[str]
    ) -> DaskProcess:
        one = DaskProcess(self.directory / f"{name}.log", argv, {**self.tls, **env}, wrapper)
        self._opened.callback(one.kill)
        return one
