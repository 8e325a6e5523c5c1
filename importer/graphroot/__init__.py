"""Existing stores: containers-storage's or Docker's.

In: the store's directory, which is only read. Out: the same layers and images as from a registry.
Open `source.py` first. `containers_storage.py` and `docker.py` read the records, `job.py` reads a
layer; importer/files/foreign.py opens everything beneath the store's own descriptor.
"""
