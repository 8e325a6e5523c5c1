"""Tests of `layers/`, in the same packages: bytes in, values out, without a repo or a registry."""
