"""The commands, and all code that touches files, processes, registries or ostree.

In: a command line, registries and stores. Out: commits in an ostree repo, and a printed result.
Open `run/import_all.py` first: a whole import on one page. `layers` computes the values. Packages
import downwards only, from `cli` to `errors`; tests/test_architecture.py has the order.
"""
