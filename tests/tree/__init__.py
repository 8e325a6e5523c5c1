"""Tests of `import-tree`: what it commits, how it walks, and what a device makes of it."""
