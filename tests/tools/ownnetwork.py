"""A network namespace with loopback alone, in which every port is free: a thread that is in it."""

import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

# <linux/sockios.h>, <linux/if.h>
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


class OwnNetwork:
    """`with OwnNetwork() as network:` has the thread; `call` runs a function in it. Sockets,
    threads and processes that the function makes are in that network, too."""

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, initializer=_enter)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()

    def call[**P, R](self, function: Callable[P, R], *words: P.args, **named: P.kwargs) -> R:
        """Run a function in the network; return its result."""
        return self._thread.submit(function, *words, **named).result()


def _enter() -> None:
    os.unshare(os.CLONE_NEWNET)  # of this thread alone
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
