"""The tar-split record of a layer: the bytes of its tar that are in no file.

In: the tar's bytes while they are read, or a record. Out: a record, or the same tar again.
podman and skopeo need the record to export a layer under its diffID.
Open `record_writer.py` first.
"""
