"""The containers-storage tree in a commit: what writes it, and what reads it.

In go images and their layers' commits; out comes a tree that podman and CRI-O use as an additional
image store. `StoreView` reads such a tree back. `layer_names` gives layers their ids and links.
Open reader.py first, then writer.py.
"""
