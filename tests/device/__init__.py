"""Tests of the result where it is used: pulled, deployed, checked out, and podman upon it.

The most realistic tests, and the slowest; most need root.
"""
