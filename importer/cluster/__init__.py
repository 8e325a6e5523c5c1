"""Read layers on the workers of a Dask cluster.

In: an address, `local:N` or a scheduler's, and the layers that `importer.ingest` wants read. Out:
the layers' trees. Their files are moved into the repo, which all workers see, or pulled from repos
of the workers. Open `executor.py` first: it submits each layer, which `task.py` reads on a worker;
`messages.py` has the requests and answers. Only `dask.py` and `local_cluster.py` import Dask.
"""
