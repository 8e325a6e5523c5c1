"""What an import takes its images from: references, an existing store, or a release.

In: the command line's names, a repo that is only read. Out: a `Plan` of branches and layers.
Open `source.py` first, then `references.py`, the simplest one.
"""
