"""An ostree repo: libostree behind one door, and the objects that are written beside it.

In: owners, file contents, trees, messages. Out: checksums, commits, directories as they are stored.
Open `writer.py` first: `Repo` is made of `reader`, `object_store`, `transaction`, `lock` and
`maintenance`, one purpose each. `libostree.py` alone imports gi.
"""
