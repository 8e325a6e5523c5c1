"""`image-store embed`: a bootable container image with a store in it.

In: a branch with a store, a base image and a destination, both of any skopeo transport. Out: the
base image with layers on top: the store's layers, packed, and a last one with the records.
Open `embed.py` first; `layers/storage/packing.py` decides which files go into which layer.
"""
