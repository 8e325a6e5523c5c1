"""The program for the device itself, which has none of our dependencies.

In: a device's own containers-storage directory, and the read-only stores beside it. Out: the same
directory without the records that an upgrade broke. All files are packed into one program
(fixtures/packaging/device_program.py) that needs only the standard library of Python 3.9 or later,
so they import nothing of ours. Open `heal.py` first.
"""
