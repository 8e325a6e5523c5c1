"""Read a layer's tar, and write one.

In: the tar's bytes in chunks. Out: entries in the order of the tar, each file's content, and every
other byte to a `Recorder`. All dialects that layers have: v7, ustar, PAX, GNU, star.
Open `reader.py` first.
"""
