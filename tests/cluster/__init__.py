"""Tests of `importer/cluster`: real Dask workers, their commits, and how they fail."""
