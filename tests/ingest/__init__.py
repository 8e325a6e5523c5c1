"""Tests of `importer/ingest`: the order of layers, and what happens if one fails."""
