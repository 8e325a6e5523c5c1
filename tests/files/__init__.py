"""Tests of `importer/files`: files that are replaced whole, and temporary ones."""
