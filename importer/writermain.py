"""A process that writes objects for an import: see importer/writers.py.

A request is two 8-byte numbers, the sizes in bytes of what follows them: a pickled `Write` or
`Move`, and the contents of the files, one after the other. The answer is one such number and a
pickled `Answer`. Both ends are the same program, so there is no version and no foreign input.
"""

from __future__ import annotations

import os
import pickle
import struct
from typing import TYPE_CHECKING, NamedTuple

from importer.objectfile import Content, ObjectDirectory, Written, move_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

# Named tuples all of them: what dataclasses import would be a fifth of the process.
REQUEST = struct.Struct("=QQ")
ANSWER = struct.Struct("=Q")


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


def serve(requests: int, answers: int) -> None:
    """Answer, until whoever asks is gone."""
    umask = os.umask(0)  # files' modes are given as they are to be
    with open(requests, "rb", 0) as source, open(answers, "wb", 0) as sink:
        while head := source.read(REQUEST.size):
            sizes = REQUEST.unpack(head)
            request: Write | Move = pickle.loads(_read(source, sizes[0]))  # noqa: S301 - our own
            answer = pickle.dumps(_answer(request, _read(source, sizes[1]), umask))
            _write(sink, ANSWER.pack(len(answer)) + answer)


def _write(sink: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]


def _read(source: FileIO, size: int) -> memoryview:
    data = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = source.readinto(data[done:])
        if not count:
            raise SystemExit  # killed: what was asked for is of no use to anybody
        done += count
    return data


def _answer(request: Write | Move, data: memoryview, umask: int) -> Answer:
    written: list[Written] = []
    place = request.place
    try:
        if isinstance(request, Move):
            _moved(place, request.checksums, umask)
        else:
            written.extend(_written(place, request.files, data))
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
    place: Place, files: Sequence[tuple[Content, int]], data: memoryview
) -> Iterator[Written]:
    directory = ObjectDirectory(place.mode, place.objects, place.directory, umask=0)
    try:
        at = 0
        for content, size in files:
            yield directory.write(content, data[at : at + size])
            at += size
    finally:
        directory.close()
