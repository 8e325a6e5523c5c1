"""Translate a directory tree on disk for ostree: overlay layers, options of `ostree commit`.

In: names, kinds, xattrs and driver files, as the walk of importer/tree/ finds them. Out: a tree
with quoted whiteouts for ostree. Open `close_layers.py` first, then `commit_filter.py`.
"""
