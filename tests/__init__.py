"""Tests of import-image."""
