"""Tests of `importer/commit`.

Commits onto an operating system, merged stores, labels, signatures, root file systems.
"""
