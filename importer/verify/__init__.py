"""`image-store verify`: a store against its own records, its trees and its layers' tars.

In: the store of a commit. Out: findings, each with its images, layer and path. Nothing is changed.
Open `store.py` first. `records.py` checks the records, `documents.py` the images' documents and the
commit's statements, `files.py` the files beside them, `layer.py` each layer's tar and tree.
"""
