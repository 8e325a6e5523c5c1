"""Commit images, whose layers are in the repo, to branches: as a store, or as a root directory.

In: a target (where, and in which form), images, the layers' commits. Out: commits.
Open `plan.py` first: the plan of an import; `commit_branches.py` executes its end. `base_tree.py`,
`selinux.py`, `engine_conf.py` and `signing.py` are for a store in an operating system's commit.
"""
