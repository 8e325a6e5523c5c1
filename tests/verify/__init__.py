"""Tests of `importer/verify`: a sound store has no finding, and every planted fault is found."""
