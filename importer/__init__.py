"""The commands, and all that touches files, processes and registries; `layers` has the values.

In: a command line, registries and stores. Out: commits in an ostree repo, and a printed result.
Open `import_images.py` first: a whole import on one page. Imports between the packages run
downwards only, from `cli` to `errors`; tests/test_architecture.py has the order.
"""
