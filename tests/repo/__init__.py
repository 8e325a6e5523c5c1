"""Tests of `importer/repo`: the objects that we write are the ones that libostree writes."""
