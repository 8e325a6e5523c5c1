"""The subcommands of `image-store`, each in a file of its own.

In: a repo, and the stores of its branches. Out: a value with `blocks` for people, `document` for
JSON and a `status`, which cli/ prints. Only `remove.py` and `prune.py` change the repo.
Open `list_images.py` first, the shortest; page/ has the templates of the report.
"""
