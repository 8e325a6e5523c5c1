"""A tar read by `layers.tar.reader`, in one go."""

from collections.abc import Generator

from layers.compress.decompress import decompressed
from layers.entry import Entry, Kind
from layers.oci.media_type import layer_compression
from layers.tar.reader import TarReader


class Listener:
    """A `layers.tar.recorder.Recorder` that puts the tar together again."""

    def __init__(self) -> None:
        self.heard = b""
        self.files: list[tuple[bytes, int]] = []

    def raw(self, data: bytes) -> None:
        self.heard += data

    def begin_file(self, path: bytes, size: int) -> None:
        self.files.append((path, size))

    def content(self, data: bytes) -> None:
        self.heard += data

    def end_file(self) -> None:
        pass


def pieces(data: bytes, size: int) -> Generator[bytes]:
    """The data in pieces."""
    return (data[at : at + size] for at in range(0, len(data), size))


def read_tar(data: bytes, size: int = 1 << 16) -> list[tuple[Entry, bytes]]:
    """Every entry, and its content if it is a file; every byte must have been recorded."""
    listener = Listener()
    reader = TarReader(pieces(data, size), listener)
    found = [
        (entry, b"".join(reader.content())) if entry.kind is Kind.FILE else (entry, b"")
        for entry in reader
    ]
    assert listener.heard == data
    return found


def paths(data: bytes) -> list[bytes]:
    """The entries' paths as the tar spells them."""
    return [entry.path for entry, _ in read_tar(data)]


def unpacked_blob(blob: bytes, media_type: str) -> bytes:
    """The tar in a layer's blob."""
    return b"".join(decompressed(iter([blob]), media_type, layer_compression(media_type)))
