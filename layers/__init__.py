"""Container image layers as values: bytes in, values out.

Nothing here opens a file, starts a process or talks to ostree; `importer` does
that, and imports this package, never the reverse.
"""
