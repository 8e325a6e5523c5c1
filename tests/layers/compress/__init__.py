"""Tests of `layers/compress`: gzip and zstd, whole and broken."""
