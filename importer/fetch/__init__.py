"""Fetch images from registries and other transports, by skopeo.

In: a reference, credentials, a signature policy. Out: an image's verified documents, its blobs.
Open `resolver.py` first: it finds an image's index, manifest and config. `blobs.py` reads blobs
through `proxy_pool.py` and `proxy.py`; `skopeo.py` has the command line, `complaint.py` the errors.
"""
