"""`--to`: write a copy of a commit's store to a directory, a tar or an OCI layout.

In: a store of a branch, and a `StoreCopy` that the command line names. Out: the same layers, ids,
links and records without ostree. Open `directory.py` first; `disk_entry.py` writes what is in it.
"""
