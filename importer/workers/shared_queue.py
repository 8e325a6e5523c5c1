"""A queue of batches of small files, from which several processes take, and their shared memory.

One process reads a layer: the *reader*. Other processes help to write its small files: *helpers*.
The reader puts the contents of a batch into a slot of shared memory (memfd_create(2)), and sends a
message through a socket that keeps packets whole: the slot's number and a description of its
files. The process that receives the message writes the files. That is a helper, or the reader,
which takes a batch back if no helper has taken it. So no batch waits for a process that is busy or
gone, and the queue works without any helper, too.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.entry import Owner

SLOTS = 8
SLOT_SIZE = 2 << 20
_FLAGS = mmap.PAGESIZE
_LOST = 1
_FIRST_STOP = 2
# How many helpers a queue can have in its life. Each has a byte of the first page as its stop flag.
MOST_HELPERS = _FLAGS - _FIRST_STOP
# Milliseconds after which an idle helper reads its stop flag again.
_LOOK = 100
# A larger message may not fit into a socket's buffer (net.core.wmem_default).
_MAX_MESSAGE = 64 << 10


class File(NamedTuple):
    """A file or symlink of a batch. `target` is "" for a file, whose content has `size` bytes."""

    owner: Owner
    target: str
    size: int


class Batch(NamedTuple):
    """Files of a batch; their contents lie in the slot, one after the other."""

    slot: int
    files: tuple[File, ...]


type Answer = tuple[str, ...] | Exception


class SharedQueue:
    """The queue as one process has it open; `close` closes the descriptors."""

    def __init__(self, memory: int, reader: int, helper: int) -> None:
        """Take over three descriptors: the shared memory, the end of the socket that sends batches
        (`reader`, -1 in a helper), and the end that receives batches (`helper`)."""
        with ExitStack() as opened:
            self.memory = mmap.mmap(memory, _FLAGS + SLOTS * SLOT_SIZE)
            opened.callback(self.memory.close)
            self._descriptor = memory
            opened.callback(os.close, memory)
            self._reader = _socket(opened, reader) if reader >= 0 else None
            self._helper = _socket(opened, helper)
            self._opened = opened.pop_all()

    @classmethod
    def create(cls) -> Self:
        """Create an empty queue without helpers. Raise OSError if the kernel refuses."""
        memory = os.memfd_create("layer")
        os.ftruncate(memory, _FLAGS + SLOTS * SLOT_SIZE)
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(memory, *(end.detach() for end in ends))

    def close(self) -> None:
        """Close the descriptors. Helpers end when no process can send batches."""
        self._opened.close()

    # --- the importing process ---

    @property
    def for_reader(self) -> list[int]:
        """Return the descriptors to send to the process that reads the layer."""
        assert self._reader is not None  # noqa: S101 - this is not a helper
        return [self._descriptor, self._reader.fileno(), self._helper.fileno()]

    @property
    def for_helper(self) -> list[int]:
        """Return the descriptors to send to a helper."""
        return [self._descriptor, self._helper.fileno()]

    @property
    def helpers(self) -> int:
        """Return how many helpers there are now; the importing process sets the number."""
        return self.memory[0]

    @helpers.setter
    def helpers(self, count: int) -> None:
        self.memory[0] = count

    @property
    def is_lost(self) -> bool:
        """Return whether a helper died. The batch that it had taken is then never answered."""
        return bool(self.memory[_LOST])

    def lose(self) -> None:
        """Note that a helper died."""
        self.memory[_LOST] = 1

    def stop(self, number: int) -> None:
        """Tell the helper of this number to stop after its batch."""
        self.memory[_FIRST_STOP + number] = 1

    def end(self) -> None:
        """Close the sending end once the reader is done; helpers then end at once."""
        assert self._reader is not None  # noqa: S101 - this is not a helper
        self._reader.close()

    # --- the reader of the layer ---

    def place(self, slot: int, at: int, content: bytes) -> None:
        """Put a file's content into the slot, `at` bytes behind its beginning."""
        begin = _FLAGS + slot * SLOT_SIZE + at
        self.memory[begin : begin + len(content)] = content

    def send(self, batch: Batch) -> bool:
        """Queue a batch. Return False if the socket has no room, or if the description is too long
        for a packet."""
        assert self._reader is not None  # noqa: S101 - this is not a helper
        data = pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
        if len(data) > _MAX_MESSAGE:
            return False
        try:
            self._reader.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def answers(self) -> Iterator[tuple[int, Answer]]:
        """Yield the slots and results of batches that helpers have written since the last call."""
        assert self._reader is not None  # noqa: S101 - this is not a helper
        while data := _received(self._reader):
            slot, answer = pickle.loads(data)  # noqa: S301 - our own process
            yield slot, answer

    def wait(self, milliseconds: int) -> None:
        """Wait until there is an answer, or a batch to take back."""
        assert self._reader is not None  # noqa: S101 - this is not a helper
        select.select([self._reader, self._helper], [], [], milliseconds / 1000)

    # --- the process that writes a batch: a helper, or the reader ---

    def take(self) -> Batch | None:
        """Take a batch from the queue. Return None if the queue is empty."""
        data = _received(self._helper)
        batch: Batch | None = pickle.loads(data) if data else None  # noqa: S301 - our own process
        return batch

    def contents(self, batch: Batch) -> Iterator[tuple[File, bytes]]:
        """Yield the batch's files with their contents."""
        at = _FLAGS + batch.slot * SLOT_SIZE
        for file in batch.files:
            yield file, self.memory[at : at + file.size]
            at += file.size

    def batches(self, number: int) -> Iterator[Batch]:
        """Yield batches for this helper until its stop flag is set or the queue closes."""
        while not self.memory[_FIRST_STOP + number]:
            ready, _, _ = select.select([self._helper], [], [], _LOOK / 1000)
            data = _received(self._helper) if ready else None
            if data == b"":
                return
            if data:
                yield pickle.loads(data)  # noqa: S301 - our own process

    def answer(self, slot: int, answer: Answer) -> None:
        """Send the reader a batch's result: the files' checksums, or an error."""
        self._helper.sendall(pickle.dumps((slot, answer), pickle.HIGHEST_PROTOCOL))


def _socket(opened: ExitStack, descriptor: int) -> socket.socket:
    found = socket.socket(fileno=descriptor)
    opened.callback(found.close)
    return found


def _received(end: socket.socket) -> bytes | None:
    """Receive a packet. Return None if there is none now, b"" if the other end is closed."""
    try:
        return end.recv(1 << 20, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
