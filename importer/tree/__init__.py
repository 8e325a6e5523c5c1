"""`import-tree`: commit a directory tree that has whiteouts, or translate the tree in place.

In: a TreeJob (directories, options of `ostree commit`, a branch) or an InPlaceJob (a directory).
Out: a commit, as TreeResult; or a changed directory, with a journal to undo it.
Open `import_tree.py` first; `scan.py` walks a tree, `store_files.py` writes its files as objects.
"""
