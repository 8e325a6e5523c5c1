"""`image-store embed`: a bootable container image with a store in it.

In go a store of a branch, a base image and a destination, each of any skopeo transport; out comes
the base's image with layers on top: the store's layers, packed, and a last one with the records.
Open embed.py first; layers/storage/packing.py decides which files go into which layer.
"""
