"""Write and read the containers-storage tree in a commit.

In: images, and their layers' commits. Out: a tree that podman and CRI-O use as an additional image
store. Open `reader.py` first, whose `StoreView` reads such a tree, then `writer.py`.
`layers.py` gives layers their ids and links.
"""
