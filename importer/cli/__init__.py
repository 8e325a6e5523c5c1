"""The commands: the only place that prints and exits.

In: a command line, the config files and the environment. Out: a result on standard output,
messages on standard error, an exit status. A command's file names its options and makes a job of
them, which the packages below do. Open `import_image.py` first, then `options/__init__.py`.
"""
