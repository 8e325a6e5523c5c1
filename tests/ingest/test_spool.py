"""Blobs in the spool: what goes in comes out, while it comes or later, and nothing stays behind."""

import os
import threading
from pathlib import Path

import pytest

from importer.errors import FetchError
from importer.ingest.spool import SpooledBlob
from tests.tools import patience
from tests.tools.pipe import fed

DATA = bytes(range(256)) * 20_000


def ignore(_: int) -> None:
    """Progress is of no interest."""


def drained(descriptor: int) -> bytes:
    found = b""
    while piece := os.read(descriptor, 1 << 16):
        found += piece
    return found


def test_what_is_spooled_is_read_later(tmp_path: Path) -> None:
    blob = SpooledBlob(tmp_path)
    counted: list[int] = []
    with fed(DATA) as source:
        blob.fill(source, 60, counted.append)
    blob.end()
    assert sum(counted) == len(DATA)
    assert list(tmp_path.iterdir()) == []  # the file has no name
    with blob.reading() as descriptor:
        assert drained(descriptor) == DATA
    blob.close()


def test_what_is_being_spooled_is_read_meanwhile(tmp_path: Path) -> None:
    """The first part is read before the second one is written."""
    blob, more = SpooledBlob(tmp_path), threading.Event()

    def fill(source: int) -> None:
        blob.fill(source, 60, ignore)
        blob.end()

    with fed(DATA, DATA, wait=more) as source:
        filler = threading.Thread(target=fill, args=(source,))
        filler.start()
        with blob.reading() as descriptor:
            first = b""
            while len(first) < len(DATA):
                first += os.read(descriptor, len(DATA) - len(first))
            more.set()
            assert first + drained(descriptor) == DATA * 2
        filler.join(patience.SECONDS)
    blob.close()


def test_who_reads_hears_why_no_more_comes(tmp_path: Path) -> None:
    blob = SpooledBlob(tmp_path)
    with fed(DATA) as source:
        blob.fill(source, 60, ignore)

    def read() -> bytes:
        with blob.reading() as descriptor:
            threading.Timer(0, blob.end, [FetchError("broken off")]).start()
            return drained(descriptor)

    with pytest.raises(FetchError, match="broken off"):
        read()
    with pytest.raises(FetchError, match="broken off"), blob.reading():
        pass
    blob.close()


def test_silence_is_an_error(tmp_path: Path) -> None:
    blob, never = SpooledBlob(tmp_path), threading.Event()
    with (
        fed(b"x", b"y", wait=never) as source,
        pytest.raises(FetchError, match="fewer than 1000 bytes a second"),
    ):
        blob.fill(source, 0.2, ignore)
    blob.end()
    blob.close()


def test_who_reads_no_further_keeps_nobody_waiting(tmp_path: Path) -> None:
    blob = SpooledBlob(tmp_path)
    with fed(DATA) as source:
        blob.fill(source, 60, ignore)
    with blob.reading() as descriptor:
        assert os.read(descriptor, 1) == DATA[:1]
    blob.end()
    blob.close()


def test_the_file_is_gone_with_its_users(tmp_path: Path) -> None:
    blob = SpooledBlob(tmp_path)
    descriptor = blob._file.fileno()
    blob.close()
    os.fstat(descriptor)  # it may still be filled
    blob.end()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
