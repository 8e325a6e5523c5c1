"""Tests of `importer/graphroot`: `import-storage` of stores of podman and Docker."""
