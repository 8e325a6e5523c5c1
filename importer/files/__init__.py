"""Files on the disk: opened beneath a directory, and written as a whole or not at all.

In: paths and bytes. Out: files, or an ImporterError that names the path. Open `atomic.py` first,
which writes one file. `replacement.py` replaces a file, `blob_file.py` writes a blob;
`oci_layout.py` and `image_directory.py` write images.
"""
