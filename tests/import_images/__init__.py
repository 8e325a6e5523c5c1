"""Tests of a whole import, from a real registry to the branches.

Bad input, reproducibility, kills at any point, memory, extremes. Open `test_import.py` first.
"""
