"""Images, whose layers are in the repo, into one commit on a branch: a store, or a root directory.

In: a target (where, and in which form), images, the layers' commits. Out: a commit's checksum.
Open `plan.py` first: what an import is going to do. `images.py` does it; `base_tree`, `selinux`,
`storage_conf` and `signing` are for a store that goes into an operating system's commit.
"""
