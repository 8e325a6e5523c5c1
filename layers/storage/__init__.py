"""The records of image stores: containers-storage's, ours and other tools', and Docker's.

In: layers.json, images.json, storage.conf and Docker's JSON, as bytes. Out: records as values,
and the same files written again; layer ids, and the images that a store can have.
Open `layer_record.py` first.
"""
