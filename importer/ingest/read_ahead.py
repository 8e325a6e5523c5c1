"""Chunks from one thread to another, so that both can work at once."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from layers.chunks import Chunks

# Enough for one side to go on while the other waits for the disk or the network; small enough
# not to be seen in the memory that an import takes.
_ROOM = 4


class AbandonedError(Exception):
    """The reader of a channel has gone."""


class Channel:
    """Holds a few chunks between a thread that puts chunks and a thread that iterates over them."""

    def __init__(self, room: int = _ROOM) -> None:
        self._chunks: deque[bytes] = deque()
        self._room = room
        self._changed = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, chunk: bytes) -> None:
        """Wait for room and add a chunk. Raise AbandonedError if the reader has gone."""
        with self._changed:
            while len(self._chunks) >= self._room and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise AbandonedError
            self._chunks.append(chunk)
            self._changed.notify()

    def end(self, error: BaseException | None = None) -> None:
        """Mark the end; with `error`, the reader gets the error after the chunks."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def abandon(self) -> None:
        """Tell the other side that no more chunks are taken."""
        with self._changed:
            self._abandoned = True
            self._changed.notify()

    def __iter__(self) -> Chunks:
        while (chunk := self._take()) is not None:
            yield chunk
        if self._error is not None:
            raise self._error

    def _take(self) -> bytes | None:
        with self._changed:
            while not self._chunks and not self._ended:
                self._changed.wait()
            if not self._chunks:
                return None
            self._changed.notify()
            return self._chunks.popleft()


class ReadAhead:
    """Chunks that a thread reads ahead of the iteration over them.

    Reading, verifying and unpacking a blob need Python only once a chunk, so that this thread runs
    beside the thread that uses the chunks. On leaving, the thread has ended, maybe in the middle of
    its source, which must not be read any further.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._channel = Channel()
        self._thread = threading.Thread(target=self._read, name="read-ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.abandon()
        self._thread.join()

    def __iter__(self) -> Chunks:
        return iter(self._channel)

    def _read(self) -> None:
        try:
            for chunk in self._chunks:
                self._channel.put(chunk)
        except AbandonedError:
            return
        except BaseException as error:
            self._channel.end(error)
        else:
            self._channel.end()
