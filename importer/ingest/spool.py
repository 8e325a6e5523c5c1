"""Fetch blobs into files without a name, which are read while they grow.

So no connection waits for a reader. Space is freed as soon as it was read, so that no sync writes
the blob to the disk. The kernel removes such a file with its last descriptor, and nothing stays
behind however the import ends. `spool-size` limits the bytes of the blobs that wait for a job.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.sync import free
from importer.pipe import patient_splice, widen
from importer.repo.libostree import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.progress import Advance

# The blob's beginning is freed in pieces of so many bytes. A piece is freed when as many have gone
# into the pipe behind it: more than a pipe holds (/proc/sys/fs/pipe-max-size), so the job has them.
_FREED = 4 << 20


class SpooledBlob:
    """A blob in an unnamed file. One thread fills the file while another has a job read it."""

    def __init__(self, directory: Path) -> None:
        """Make an empty file without a name in `directory`. Raise ImporterError if that fails."""
        with faults(f"making a file for a blob in {directory}"):
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
        widen(source)
        for count in patient_splice(source, file, timeout, "the registry", size):
            with self._changed:
                self._size += count
                self._changed.notify_all()
            advance(count)

    def end(self, error: BaseException | None = None) -> None:
        """Note that the blob is complete, or the error because of which it never will be."""
        with self._changed:
            self._ended = True
            self._error = self._error or error  # the reader's, which may have failed before
            self._changed.notify_all()
        self.close()

    # --- the thread that has a job read it ---

    def check(self) -> None:
        """Raise the error with which filling ended, if there is one."""
        if self._error is not None:
            raise self._error

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Yield a pipe with the whole blob, which may still be filled. On leaving, raise the error
        with which filling ended, if there is one."""
        self.check()
        source, sink = os.pipe()
        widen(sink)
        feeder = threading.Thread(target=self._feed, args=(sink,), name="feed")
        feeder.start()
        try:
            yield source
        finally:
            os.close(source)
            feeder.join()
            self.check()

    def _feed(self, sink: int) -> None:
        fed = freed = 0
        try:
            # A broken pipe: the job has stopped reading, and reports the reason itself.
            with faults("reading a spooled blob"), suppress(BrokenPipeError):
                while (size := self._wait_beyond(fed)) > fed:
                    fed += os.splice(self._file.fileno(), sink, size - fed, offset_src=fed)
                    if fed - freed >= 2 * _FREED:
                        free(self._file.fileno(), freed, _FREED)
                        freed += _FREED
        except ImporterError as error:
            with self._changed:
                self._error = error
        finally:
            os.close(sink)

    def _wait_beyond(self, size: int) -> int:
        """Wait until the file has more than `size` bytes or is complete. Return its bytes."""
        with self._changed:
            while self._size <= size and not self._ended:
                self._changed.wait()
            return self._size
