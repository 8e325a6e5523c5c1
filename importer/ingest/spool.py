"""Blobs that are fetched before a job is free for them: unnamed files, bounded together.

The kernel removes an unnamed file with its last descriptor, so that nothing stays behind however
the import ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from importer.pipe import patient_splice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.progress import Advance


class SpooledBlob:
    """A blob on its way into an unnamed file: one thread fills it while another feeds a job."""

    def __init__(self, directory: Path) -> None:
        """Make an empty spool file without a name in `directory`."""
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - `close`
        self._changed = threading.Condition()
        self._size = 0
        self._ended = False
        self._error: BaseException | None = None
        self._users = 2  # the thread that fills the file, and the thread that has it read

    def close(self) -> None:
        """Note that the blob has no more readers. The kernel removes the file once its writer has
        closed it as well."""
        with self._changed:
            self._users -= 1
            if not self._users:
                self._file.close()

    # --- the thread that fills it ---

    def fill(self, source: int, timeout: float, advance: Advance, size: int | None = None) -> None:
        """Move a pipe's bytes into the file until the pipe ends, or until `size` are moved.

        Raise FetchError if the pipe is silent for `timeout` seconds.
        """
        file = self._file.fileno()
        for count in patient_splice(source, file, timeout, "the registry", size):
            with self._changed:
                self._size += count
                self._changed.notify_all()
            advance(count)

    def end(self, error: BaseException | None = None) -> None:
        """Note that the blob is complete, or why it never will be; it is not filled any more."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()
        self.close()

    # --- the thread that has a job read it ---

    def check(self) -> None:
        """Raise the error that filling has ended with, if there is one."""
        if self._error is not None:
            raise self._error

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Yield a descriptor to read the blob from, to its end; at the end, check that it is
        whole."""
        self.check()
        if self._ended:
            yield self._file.fileno()
            return
        source, sink = os.pipe()
        feeder = threading.Thread(target=self._feed, args=(sink,), name="feed")
        feeder.start()
        try:
            yield source
        finally:
            os.close(source)
            feeder.join()
            self.check()

    def _feed(self, sink: int) -> None:
        fed = 0
        try:
            while (size := self._wait_beyond(fed)) > fed:
                with suppress(BlockingIOError):
                    fed += os.splice(self._file.fileno(), sink, size - fed, offset_src=fed)
        except BrokenPipeError:
            pass  # the job has read enough, and says itself why
        except OSError as error:
            self._error = error
        finally:
            os.close(sink)

    def _wait_beyond(self, size: int) -> int:
        """Wait for more bytes than this, or the end. Return the number that there are."""
        with self._changed:
            while self._size <= size and not self._ended:
                self._changed.wait()
            return self._size
