"""Container image layers as values: bytes in, values out.

Nothing here opens a file, starts a process or talks to ostree: `importer` does that, and imports
this package, never the reverse. Open `tree/layer_reader.py` first. Each package imports only from
those above it in this list.

- `ostree`: an ostree repo's objects as bytes
- `tar`: a layer's tar as a stream of entries, and written again
- `oci`: manifests, configs and names of images
- `compress`: from a layer's blob to its tar
- `tarsplit`: the record from which a tar can be made again
- `tree`: from the entries to the directory tree that an ostree commit holds
- `storage`: the records of containers-storage and Docker's stores
- `lists`: files in which people list images: blueprints, Compose files, units, manifests
- `ondisk`: what a directory tree on disk means to ostree
- `release`: releases of many images: lists, differences, lock files, reports
"""
