"""Tests of `importer/store`: the containers-storage tree in a commit."""
