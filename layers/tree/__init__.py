"""Turn a layer's entries into the directory tree that an ostree commit holds.

In: the entries of a tar, and the merged tree of the layers below. Out: directories, files and
whiteouts, opaque directories expanded; the rules are those of docs/semantics.md.
Open `layer_reader.py` first, then `builder.py` and `translate.py`.
"""
