"""Files on the disk: opened beneath a directory, and written as a whole or not at all.

In: paths and bytes. Out: files, or an ImporterError that names the path. Open `atomic.py` first,
which writes one file, and `foreign.py`, which reads directories that others may change.
"""
