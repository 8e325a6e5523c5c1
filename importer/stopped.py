"""Report programs of ours that somebody has stopped, as by SIGSTOP: the command waits for them."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

_log = logging.getLogger(__name__)
# Seconds between two looks at the programs.
_LOOK = 1.0
# proc_pid_stat(5): stopped on a signal, or by a tracer.
_STOPPED = ("T", "t")


class StopWatch:
    """Looks at programs every second, in a thread that runs while there are programs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._names: dict[int, str] = {}
        self._told: set[int] = set()
        self._running = False

    def add(self, pid: int, name: str) -> None:
        """Watch a program from now on; `name` is for the warning."""
        with self._lock:
            self._names[pid] = name
            if not self._running:
                self._running = True
                threading.Thread(target=self._watch, name="stopped", daemon=True).start()

    def remove(self, pid: int) -> None:
        """Stop watching a program. Call this before the kernel may give its number to another."""
        with self._lock:
            self._names.pop(pid, None)
            self._told.discard(pid)
            self._changed.notify()

    def _watch(self) -> None:
        with self._lock:
            while self._names:
                self._changed.wait(_LOOK)
                for pid, name in self._names.items():
                    self._look(pid, name)
            self._running = False

    def _look(self, pid: int, name: str) -> None:
        """Log a warning if the program has been stopped since the last look."""
        if not _is_stopped(pid):
            self._told.discard(pid)
        elif pid not in self._told:
            self._told.add(pid)
            message = "%s is stopped, and the command waits for it: `kill -CONT %d` lets it go on"
            _log.warning(message, name, pid)


def _is_stopped(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False  # it has ended
    return status.rpartition(") ")[2].startswith(_STOPPED)
