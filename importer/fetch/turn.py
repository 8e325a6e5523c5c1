"""Take turns at talking to a skopeo proxy, which answers one request after the other."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPPED = "stopped, since something else failed"


class Turn:
    """A lock that may be given back by another thread than the one that took it, and that can end.

    `is_blocked` says that the holder waits for the end of a blob, which may take long.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self.is_over = False
        self.is_blocked = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, and keep it. Raise FetchError if the proxy has ended meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or not self._taken)
            if self.is_over:
                raise FetchError(STOPPED)
            self._taken = True
        try:
            yield
        finally:
            self.give()

    def take_unless_blocked(self) -> bool:
        """Wait for the turn. Return False instead once the holder is blocked, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or self.is_blocked or not self._taken)
            if self.is_over or self.is_blocked:
                return False
            self._taken = True
            return True

    def take_to_block(self) -> bool:
        """Take the turn if it is free, and mark it as blocked. Return whether it was free."""
        with self._changed:
            if self.is_over or self._taken:
                return False
            self._taken = self.is_blocked = True
            self._changed.notify_all()
            return True

    def give(self) -> None:
        """Give the turn back."""
        with self._changed:
            self._taken = self.is_blocked = False
            self._changed.notify_all()

    def end(self) -> None:
        """Let no thread have the turn any more. Idempotent."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()
