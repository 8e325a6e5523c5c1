"""Tests of import-image, in the same packages as the code that they test.

They use the real thing: a registry on loopback, skopeo, ostree, podman, umoci, overlayfs. `tools`
has their helpers, with an index. Start with `import_images/test_import.py`, the whole way of an
image. Tests marked `root` need root; `make fuzz` runs those marked `fuzz`.
"""
