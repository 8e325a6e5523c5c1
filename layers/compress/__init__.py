"""Unpack a layer's blob.

In: chunks of a gzip or zstd blob, or of a plain tar. Out: the tar's bytes, at most 1 MiB at once.
A blob that is cut short, or has anything behind its last member or frame, is refused.
Open `decompress.py` first.
"""
