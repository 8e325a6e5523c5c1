"""Files on the disk: opened beneath a directory, and written as a whole or not at all.

In go paths and bytes; what fails is an ImporterError that names the path. `atomic` writes one file,
`replacement` one in place of another, `blob_file` a blob; `oci_layout` and `image_directory` write
images.
Open atomic.py first.
"""
