"""Programs for the device itself, which has none of our dependencies.

In: a device's own containers-storage directory. Out: the same directory without the records that an
upgrade broke. Each program is a single file that needs only the standard library of Python 3.9 or
later, so it imports nothing of ours. Open `heal.py` first.
"""
