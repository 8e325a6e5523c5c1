"""An ostree repo: libostree behind one door, and the objects that are written beside it.

In: owners, file contents, trees, messages. Out: checksums, commits, directories as they are stored.
Open `writer.py` first: `Repo` is a `reader`, then an `object_store`, then a `transaction`.
`libostree.py` alone imports gi, once something needs it: `plain_repo.py` reads without.
"""
