"""Tests of `importer/embed`: a store in a container image."""
