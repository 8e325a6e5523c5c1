"""The commands: the only place that prints and exits.

In goes a command line, with the config files and the environment behind it; out come a result on
standard output, messages on standard error, and an exit status. A command's file says what it
takes and makes the job of its options; the job itself is done by the packages below. Open
import_image.py first, then options/__init__.py.
"""
