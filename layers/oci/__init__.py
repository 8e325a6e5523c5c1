"""Read the documents of an image, and the names that users give images.

In: the bytes of manifests, indexes and configs; references as skopeo writes them.
Out: `Manifest`, `Index`, `ImageConfig`, `Reference`; an error for what podman could not read.
Open `manifest.py` first, then `readable.py` for what is refused.
"""
