"""What only a release has: its documents, what changed since the last one, files to write.

In: sources (a release file, a payload, a controller's stream, a lock). Out: components, a report.
Open `parts.py` first, which reads the sources; `outcome.py` compares a commit with the last one.
"""
