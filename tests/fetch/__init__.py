"""Tests of `importer/fetch`: skopeo, its answers and its errors."""
