"""Tests of `importer/ingest/cluster`: real Dask workers, their commits, and how they fail."""
