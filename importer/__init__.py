"""The effects: skopeo, ostree, threads and the command line, around the values of `layers`."""
