"""Files on the disk: opened beneath a directory, and written as a whole or not at all.

In go paths and bytes; what fails is an ImporterError that names the path. `atomic` writes one file,
`replacement` one in place of another, `oci_layout` a directory of blobs.
Open atomic.py first.
"""
