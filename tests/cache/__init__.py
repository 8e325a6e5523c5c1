"""Tests of `importer/cache`: names of branches, flattened layers."""
