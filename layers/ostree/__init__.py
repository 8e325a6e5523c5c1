"""Write and read an ostree repo's objects without libostree.

In: owners, link targets, names and checksums. Out: the bytes of content headers, dirtrees and
dirmetas, whose sha256 is the object's name.
Open `objects.py` first.
"""
