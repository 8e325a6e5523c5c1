"""Files in which people list images: blueprints, Compose files, units, manifests, kustomizations,
plain lists.

In: a file's bytes. Out: the images with the names that the file gives them, and the same file with
digests in place of tags. The content decides which format a file has. Open `detect.py` first.
"""
