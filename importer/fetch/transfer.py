"""A blob on its way from a skopeo proxy: its pipe, and how its end is found.

Any process may read the pipe, at most `size` bytes. Then the transfer is finished or abandoned.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import termios
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from importer.errors import FetchError
from importer.fetch.complaint import fetch_error
from importer.fetch.connection import STOPPED
from importer.pipe import is_readable, patient_chunks, widen
from layers.errors import CHANGED, LayerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.errors import ImporterError
    from importer.fetch.connection import Turn

# skopeo itself waits for 1 to 1.1 seconds before it asks a registry that has broken off for the
# rest (containers/image docker/body_reader.go).
_SILENCE = 1.5
_BROKEN_PIPE = "broken pipe"


class Transfer(ABC):
    """A pipe with a blob's unverified bytes, `size` of them unless the registry is wrong."""

    def __init__(self, source: str, descriptor: int, size: int) -> None:
        self.source = source
        self.descriptor = descriptor
        self.size = size
        self._left = size
        self.heard = time.monotonic()
        widen(descriptor)

    def advance(self, count: int) -> None:
        """Note that `count` more bytes were read."""
        self._left -= count
        self.heard = time.monotonic()

    @property
    def can_finish(self) -> bool:
        """Return whether skopeo sends no more: all bytes were read, or the pipe has ended early."""
        return self._left <= 0 or (is_readable(self.descriptor, 0) and not self._waiting())

    def _waiting(self) -> int:
        """Return how many bytes the pipe holds."""
        answer = fcntl.ioctl(self.descriptor, termios.FIONREAD, bytes(4))
        count: int = struct.unpack("i", answer)[0]
        return count

    def _longer(self) -> LayerError:
        message = f"the blob is longer than the {self.size} bytes that the manifest gives it"
        return LayerError(message, hint=CHANGED)

    @abstractmethod
    def finish(self) -> None:
        """Close the pipe. Raise FetchError, or ImporterError, if the transfer failed; LayerError
        if the registry sends more than `size` bytes."""

    @abstractmethod
    def abandon(self) -> None:
        """Close the pipe before its end."""


class RawTransfer(Transfer):
    """The answer to GetRawBlob (protocol 0.2.7): one pipe for the bytes, one for an error.

    skopeo closes both pipes by itself.
    """

    def __init__(
        self,
        source: str,
        descriptors: tuple[int, int],
        size: int,
        timeout: float,
        ended: Callable[[], ImporterError | None],
    ) -> None:
        """`ended` returns why skopeo has ended, None if it runs."""
        super().__init__(source, descriptors[0], size)
        self._errors = descriptors[1]
        self._timeout = timeout
        self._ended = ended

    def finish(self) -> None:
        try:
            if is_readable(self.descriptor, self._timeout) and os.read(self.descriptor, 1):
                raise self._longer()
            complaint = b"".join(patient_chunks(self._errors, self._timeout, self.source))
        finally:
            self.abandon()
        if complaint:
            error = json.loads(complaint)
            raise fetch_error(self.source, error["message"], error["code"])
        if self._left > 0:
            got = self.size - self._left
            message = f"{self.source}: the blob ends after {got} of {self.size} bytes"
            raise self._ended() or FetchError(message, hint=CHANGED)

    def abandon(self) -> None:
        os.close(self.descriptor)
        os.close(self._errors)


class FinishedTransfer(Transfer):
    """The answer to GetBlob: skopeo closes the pipe only when it is asked to, by FinishPipe.

    skopeo answers nothing else between FinishPipe and the blob's end. So FinishPipe is sent after
    the last byte; or after a silence, since a registry that has broken off shows in no other way.
    """

    def __init__(
        self,
        source: str,
        descriptor: int,
        size: int,
        turn: Turn,
        ask: Callable[[], None],
        answer: Callable[[], object],
    ) -> None:
        """`ask` sends FinishPipe, `answer` waits for its answer and raises the error in it."""
        super().__init__(source, descriptor, size)
        self._turn = turn
        self._ask = ask
        self._answer = answer
        self._lock = threading.Lock()
        self._asked = False
        self.is_over = False

    def look(self) -> None:
        """Send FinishPipe if the pipe has been silent for long."""
        with self._lock:
            if self.is_over or self._asked or time.monotonic() < self.heard + _SILENCE:
                return
            if not self._waiting() and self._turn.take_to_block():
                self._asked = True
                self._ask()

    def finish(self) -> None:
        """See `Transfer`.

        Nothing is asked while another blob's end is waited for: this blob has all its bytes.
        """
        self._close()
        if not self._asked:
            if not self._turn.take_unless_blocked():
                if self._left > 0:  # the process has ended, and the pipe with it
                    raise FetchError(f"{self.source}: {STOPPED}")
                return
            self._ask()
        try:
            self._answer()
        except Exception as error:
            # The pipe was closed after `size` bytes: skopeo had more to write.
            if _BROKEN_PIPE in str(error) and self._left <= 0:
                raise self._longer() from None
            raise
        finally:
            self._turn.give()

    def abandon(self) -> None:
        """See `Transfer`. A proxy that still waits for the blob's end is of no more use."""
        self._close()
        if self._asked:
            self._turn.end()

    def _close(self) -> None:
        with self._lock:
            self.is_over = True
            os.close(self.descriptor)
