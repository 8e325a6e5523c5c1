"""`import-tree`: any directory tree that has whiteouts, to ostree; or translated where it is.

In: a TreeJob (directories, options of `ostree commit`, a branch) or an InPlaceJob (a directory).
Out: a commit, as TreeResult; or a changed directory, with a journal to undo it.
Open import_tree.py first; scan.py walks a tree, store_files.py writes its files as objects.
"""
