"""Programs for the device itself, which has none of our dependencies.

In goes a device's own containers-storage directory; out goes the same without the records that
an upgrade broke. Each program is a single file that needs Python's standard library alone, from
Python 3.9 on, so it imports nothing of ours. Open heal.py first.
"""
