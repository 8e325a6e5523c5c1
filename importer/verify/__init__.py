"""`image-store verify`: a store against its own records, its trees and its layers' tars.

In goes a store of a commit; out come findings, each with its images, layer and path. Nothing is
changed. records.py checks the records, files.py what lies beside them, layer.py each layer's tar
and tree. Open store.py first.
"""
