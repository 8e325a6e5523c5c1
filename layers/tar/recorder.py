"""Record every byte of a tar while the tar is read."""

from __future__ import annotations

from typing import Protocol


class Recorder(Protocol):
    """Records a tar, so that it can be made again from the record and the files' contents."""

    def raw(self, data: bytes) -> None:
        """Record bytes that no file will have: headers, padding, the end marker."""

    def begin_file(self, path: bytes, size: int) -> None:
        """Begin a file: `size` bytes of its content come next."""

    def content(self, data: bytes) -> None:
        """Record some of that content."""

    def end_file(self) -> None:
        """End the file: all of its content was given."""


class NoRecord:
    """A `Recorder` that records nothing."""

    def raw(self, data: bytes) -> None: ...
    def begin_file(self, path: bytes, size: int) -> None: ...
    def content(self, data: bytes) -> None: ...
    def end_file(self) -> None: ...
