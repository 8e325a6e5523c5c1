"""Commit images, whose layers are in the repo, to a branch: as a store, or as a root directory.

In: a target (where, and in which form), images, the layers' commits. Out: a commit's checksum.
Open `plan.py` first: the plan of an import; `images.py` executes it. `base_tree.py`, `selinux.py`,
`storage_conf.py` and `signing.py` are for a store in an operating system's commit.
"""
