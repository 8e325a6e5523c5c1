"""A release: named components, each of them an image.

In: release files, ImageStreams, an `oc adm release info` document, a lock file, a commit's
metadata. Out: `Release`, what differs between two of them, a report, a lock file.
Open `release.py` first.
"""
