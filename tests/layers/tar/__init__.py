"""Tests of `layers/tar`: headers, PAX records, sparse files, and where a tar ends."""
