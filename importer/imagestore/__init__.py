"""The subcommands of `image-store`, each in a file of its own.

In go a repo and the stores of its branches; out comes a value with `blocks` for people, `document`
for JSON and a `status`, which cli/ prints. Only remove and prune change the repo.
Open list_images.py first, the shortest; page/ has the templates of the report.
"""
