"""Tests of `importer/ingest`: the order of layers, worker processes, what happens if one dies."""
