"""Find the images of an import: by references, in an existing store, or of a release.

In: the command line's names, a repo that is only read. Out: a `Plan` of branches and layers.
`Source` in `importer.run.import_all` is their interface. Open `references.py` first.
"""
