"""A process that writes objects for an import: see importer/writers.py.

A request is an 8-byte number and as many bytes, a pickled `Write` or `Move`; the answer a pickled
`Answer` in the same form. The contents of the files to be written lie one after the other in a
memory file that both ends have. Both are the same program, so there is no version and no foreign
input.
"""

from __future__ import annotations

import os
import pickle
import struct
from mmap import PROT_READ, mmap
from typing import TYPE_CHECKING, NamedTuple

from importer.objectfile import Content, ObjectDirectory, Written, move_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

# Named tuples all of them: what dataclasses import would be a fifth of the process.
SIZE = struct.Struct("=Q")


class Place(NamedTuple):
    """A repo's mode, its directory of objects, and a directory for new ones."""

    mode: str
    objects: str
    directory: str


class Write(NamedTuple):
    """Files to be written, each with its content's size in bytes."""

    place: Place
    files: Sequence[tuple[Content, int]]


class Move(NamedTuple):
    """New objects to be moved to the others."""

    place: Place
    checksums: Sequence[str]


class Answer(NamedTuple):
    """What was written, in order; and the error that there was then."""

    written: Sequence[Written]
    error: OSError | None = None


def serve(requests: int, answers: int, contents: int) -> None:
    """Answer, until whoever asks is gone."""
    umask = os.umask(0)  # files' modes are given as they are to be
    shared = _Shared(contents)
    with open(requests, "rb", 0) as source, open(answers, "wb", 0) as sink:
        while size := source.read(SIZE.size):
            request: Write | Move = pickle.loads(_read(source, *SIZE.unpack(size)))  # noqa: S301 - our own
            answer = pickle.dumps(_answer(request, shared, umask))
            _write(sink, SIZE.pack(len(answer)) + answer)


class _Shared:
    """A memory file, mapped again whenever it has grown."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mapped = memoryview(b"")

    def contents(self, size: int) -> memoryview:
        """The first `size` bytes."""
        if size > len(self._mapped):
            self._mapped = memoryview(mmap(self._descriptor, 0, prot=PROT_READ))
        return self._mapped[:size]


def _write(sink: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]


def _read(source: FileIO, size: int) -> bytearray:
    data = bytearray(size)
    done = 0
    while done < size:
        count = source.readinto(memoryview(data)[done:])
        if not count:
            raise SystemExit  # killed: what was asked for is of no use to anybody
        done += count
    return data


def _answer(request: Write | Move, shared: _Shared, umask: int) -> Answer:
    written: list[Written] = []
    place = request.place
    try:
        if isinstance(request, Move):
            _moved(place, request.checksums, umask)
        else:
            written.extend(_written(place, request.files, shared))
    except OSError as error:
        return Answer(written, error)
    return Answer(written)


def _moved(place: Place, checksums: Sequence[str], umask: int) -> None:
    """New directories are as the umask has them that the import was started with."""
    os.umask(umask)
    try:
        move_objects(place.mode, place.objects, place.directory, checksums)
    finally:
        os.umask(0)


def _written(
    place: Place, files: Sequence[tuple[Content, int]], shared: _Shared
) -> Iterator[Written]:
    data = shared.contents(sum(size for _, size in files))
    directory = ObjectDirectory(place.mode, place.objects, place.directory, umask=0)
    try:
        at = 0
        for content, size in files:
            yield directory.write(content, data[at : at + size])
            at += size
    finally:
        directory.close()
