"""An attacker who exchanges two paths without pause, in a process of its own."""

import mmap
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.tools.racer import exchange


class Swapper:
    """`with Swapper(one, other) as swapper:` exchanges the two until it is left.

    Where one of them is missing at the moment, nothing happens. `count` is how many exchanges
    there were.
    """

    def __init__(self, one: Path, other: Path) -> None:
        self._pair = one, other
        self._shared = mmap.mmap(-1, 8)

    def __enter__(self) -> Self:
        self._child = os.fork()
        if not self._child:
            try:
                self._swap()
            finally:
                os._exit(1)
        return self

    def _swap(self) -> None:
        while True:
            with suppress(FileNotFoundError):
                exchange(*self._pair)
                self._shared[:] = (self.count + 1).to_bytes(8, "little")

    @property
    def count(self) -> int:
        return int.from_bytes(self._shared[:], "little")

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
