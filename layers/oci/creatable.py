"""Find why podman could not create a container of an image that it lists.

Sources: podman 5.4 and container-libs of April 2026, pkg/signal/signal_common.go
(`ParseSignalNameOrNumber`) and libpod/options.go (64 is SIGRTMAX); containerd's platforms 0.2,
`specifierRe` and `osAndVersionRe`, by which a pull from another transport is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.document import mapping, parse_document, string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.oci.config import ImageConfig

_SIGNALS = frozenset((
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
))  # fmt: skip
_NUMBER = re.compile(r"[+-]?0*([1-9][0-9]?)", re.ASCII)
_LARGEST = 64
_REAL_TIME = re.compile(r"RTMIN\+([1-9]|1[0-5])|RTMAX-([1-9]|1[0-4])", re.ASCII)
_PLATFORM = re.compile(r"[A-Za-z0-9_.()-]*", re.ASCII)
_SHOWN = 60


def doubts(config: ImageConfig) -> Iterator[str]:
    """Yield what podman would refuse when it creates a container of the image, or pulls it."""
    inner = mapping(parse_document(config.raw, "the config"), "config", "the config", {})
    signal = string(inner, "StopSignal", "the config", "")
    if signal and not _is_signal(signal):
        yield f"its StopSignal {signal[:_SHOWN]!r} is no signal"
    platform = {"os": config.os, "architecture": config.architecture, "variant": config.variant}
    for name, value in platform.items():
        if not _PLATFORM.fullmatch(value):
            yield f"its {name} {value[:_SHOWN]!r} is none"


def _is_signal(text: str) -> bool:
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return int(number[1]) <= _LARGEST
    name = text.removeprefix("-").upper().removeprefix("SIG")
    return name in _SIGNALS or _REAL_TIME.fullmatch(name) is not None
