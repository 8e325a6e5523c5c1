"""Read layers on the workers of a Dask cluster, with a repo that all of them see.

In: an address, `local:N` or a scheduler's, and the layers that `importer.ingest` wants read. Out:
the layers' trees; their files are moved into the repo. Open `executor.py` first: it submits a
layer as a `request.Request`, which `task.py` reads on a worker. `dask.py` alone imports Dask.
"""
