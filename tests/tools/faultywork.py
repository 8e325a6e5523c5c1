"""A command that works in a copy of a directory, where one of its system calls fails."""

import errno
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools.command import finished, start
from tests.tools.faultydisk import Fault, supervised
from tests.tools.process import run
from tests.tools.syscalls import REMOVING

_ERRORS = {errno.EIO: "Input/output error", errno.ENOSPC: "No space left on device"}


@dataclass(frozen=True)
class Work:
    """A command line for a directory, and one of its calls as a `sample`.

    `check` raises if something half-done has a final name; `result` is what the work comes to.
    With `finds`, the command may report the error among its findings on standard output.
    """

    argv: Callable[[Path], Sequence[str]]
    check: Callable[[Path], None]
    result: Callable[[Path], object]
    sample: Fault
    finds: bool = False


class Place:
    """A copy of the template, below `directory`, in which one command works."""

    def __init__(self, template: Path, work: Work, directory: Path, *, reading: bool) -> None:
        """With `reading`, the calls are those that read a file's content."""
        self.path = directory / "place"
        self._template = template
        self._work = work
        self._link = directory / "link"
        self._reading = reading
        self.renew()

    def renew(self) -> None:
        """Begin again with what the template has."""
        shutil.rmtree(self.path, ignore_errors=True)
        run(["cp", "-a", self._template, self.path])

    def calls(self) -> Counter[str]:
        """How often the command makes each kind of call."""
        with supervised(self.path, self._link, reading=self._reading) as (supervisor, wrapper):
            self.complete(wrapper)
        return Counter(call.kind for call in supervisor.calls)

    def complete(self, wrapper: Sequence[str] = ()) -> object:
        """Run the command to its good end; return what it has made."""
        status, _, stderr = self._finish(wrapper)
        assert status == 0, stderr
        self._work.check(self.path)
        return self._work.result(self.path)

    def comes_to(self, expected: object) -> bool:
        """Whether the work is done after all, as when the fault was behind its last step; or is
        done by the next run."""
        return self._work.result(self.path) == expected or self.complete() == expected

    def _finish(self, wrapper: Sequence[str]) -> tuple[int, str, str]:
        command, *argv = self._work.argv(self.path)
        return finished(start(command, argv, {}, wrapper))

    def fails(self, fault: Fault) -> bool:
        """A run with the fault; whether there was one. Without a word may fail: a call that
        removes, since the next run removes it, mkdir of a directory that is there already, and our
        open of a repo's lock, since libostree's follows."""
        reading = self._reading
        with supervised(self.path, self._link, fault, reading=reading) as (supervisor, wrapper):
            status, stdout, stderr = self._finish(wrapper)
        if not supervisor.failed:
            return False
        self._work.check(self.path)
        if fault.kills:
            killed = status == -signal.SIGKILL or "it was killed" in stderr
            assert (killed, stdout, "Traceback" in stderr) == (True, "", False), (fault, stderr)
            return True
        if status == 0:
            loud = [call for call in supervisor.failed if call.name not in {*REMOVING, "mkdir"}]
            assert {call.path.rpartition("/")[2] for call in loud} <= {".lock"}, fault
            return True
        assert status == 1, (fault, stdout, stderr)
        assert "Traceback" not in stderr, (fault, stderr)
        if stdout:
            assert self._work.finds, (fault, stdout)
            assert _ERRORS[fault.error] in stdout, (fault, stdout)
            return True
        (error,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
        said = _ERRORS[fault.error].lower()  # as Go's errors are
        assert said in error.lower(), (fault, error)
        return True


def check_all(place: Place, faults: Callable[[Counter[str]], Sequence[Fault]]) -> int:
    """Let each call fail, the first and the last of each kind. After each the next run completes
    the work. A call may not be reached, since threads take turns. Return how many were."""
    counted = place.calls()
    place.renew()
    expected = place.complete()
    reached = 0
    for fault in faults(counted):
        place.renew()
        if place.fails(fault):
            reached += 1
            assert place.comes_to(expected), fault
    assert reached >= len(counted)
    return reached


def ends(counted: Counter[str]) -> list[tuple[str, int]]:
    """The first and the last call of each kind."""
    return [(kind, number) for kind, count in counted.items() for number in {0, count - 1}]
