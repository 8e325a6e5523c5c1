"""The program for the device itself, which has none of our dependencies.

In: a device's own containers-storage directory, and the read-only stores beside it. Out: the same
directory without the records that an upgrade broke. fixtures/packaging/device_program.py packs all
files into one program for Python 3.9 or later, with layers/storage/holders.py, the only other file
of ours that they import. Open `heal.py` first.
"""
