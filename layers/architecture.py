"""Processor architectures, by the names that Go and the registries use."""

from __future__ import annotations

# What Linux's uname, and with it MicroShift's file names, call otherwise.
_GO = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
# What images are made for; Go's `go tool dist list`, those with Linux.
_KNOWN = frozenset(
    ["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"]
)


def go_arch(name: str) -> str:
    """Return Go's name for an architecture that uname calls `name`. Return other names
    unchanged."""
    return _GO.get(name, name)


def is_architecture(name: str) -> bool:
    """Return whether `name` is an architecture, in Go's or uname's spelling."""
    return go_arch(name) in _KNOWN
