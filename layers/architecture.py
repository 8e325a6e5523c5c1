"""Processor architectures, by the names that Go and the registries use."""

from __future__ import annotations

# Go's names of architectures by those of Linux's uname, which MicroShift's file names have.
_GO = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
# Linux's architectures of `go tool dist list` for which images are made.
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
