"""Tests of `importer/workers`: what worker processes do, and what happens if one dies."""
